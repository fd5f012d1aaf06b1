package gateway

import (
	"testing"
	"time"
)

// pushed out, memory must not claim to know all that is later.
func TestLatelyForgetsTheLaterToo(t *testing.T) {
	l := &lately{ids: map[string][]string{}}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.add(latelyPart{"ref/7/", "again", at})
	l.add(latelyPart{"ref/8/", "other", at})
	l.add(latelyPart{"ref/7/", "again", at.Add(time.Minute)}) // its record has this time now
	for i := range maxLately - 1 {
		l.add(latelyPart{"ref/9/", string(rune('a' + i)), at.Add(2 * time.Minute)})
	}
	if len(l.ids["ref/7/"]) == 0 && !l.since.After(at) {
		t.Errorf("since %v, but a part of %v is forgotten", l.since, at.Add(time.Minute))
	}
}
