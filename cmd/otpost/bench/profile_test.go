package bench

import (
	"os"
	"testing"
)

func TestProfile(t *testing.T) {
	name := t.TempDir() + "/it"
	end, err := Profile(name)
	if err == nil {
		err = end()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{".cpu", ".heap"} {
		if info, err := os.Stat(name + kind); err != nil || info.Size() == 0 {
			t.Errorf("the profile %s is empty, or %v", kind, err)
		}
	}
}
