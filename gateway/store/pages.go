package store

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ForgetPages lets go of the resident pages of mapped files whose path fits. Nothing is lost: what is touched again comes
// back from the system's cache, or from the file. A store maps its tables whole, and whoever has once read them all (to
// verify them) would keep them resident for good; likewise the code that only a start needs.
func ForgetPages(fits func(path string) bool) error {
	return forgetPages("/proc/self/smaps", func(path string) int {
		if fits(path) {
			return unix.MADV_DONTNEED
		}
		return stay
	})
}

// stay is the advice to leave a mapping's pages where they are.
const stay = unix.MADV_NORMAL

// forgetPages is ForgetPages by smaps or, for shared mappings only and much quicker, maps; advise gives the madvise(2) by which
// the pages of a file go. For MADV_DONTNEED it must not be unmapped meanwhile: its place could be taken by what is lost when it
// is let go. MADV_PAGEOUT loses nothing, whatever it meets (other memory could at worst be swapped, where there is swap and the
// unit does not forbid it), but pages that come back are read from the file.
func forgetPages(maps string, advise func(path string) int) error {
	f, err := os.Open(maps)
	if err != nil {
		return fmt.Errorf("forget pages: %w", err)
	}
	defer f.Close()
	var m mapping
	advice, clean := stay, false
	forget := func() {
		if advice != stay && (m.shared || clean) {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, uintptr(advice)) // a courtesy
		}
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		switch name, rest, _ := strings.Cut(lines.Text(), " "); {
		case !strings.HasSuffix(name, ":"): // the next mapping
			forget()
			advice, clean = advise(pathOf(lines.Text())), false
			if advice != stay {
				m, _ = parseMapping(lines.Text())
			}
		case name == "Anonymous:":
			clean = none(rest)
		case name == "Swap:":
			clean = clean && none(rest)
		}
	}
	forget()
	return lines.Err()
}

func none(size string) bool { return strings.TrimSpace(size) == "0 kB" }

// mapping is a part of a file in this process's memory. What was written to a private one, and be it by the loader before it
// was protected, is not in the file.
type mapping struct {
	from, to uintptr
	path     string
	shared   bool
}

// parseMapping reads a line of proc_pid_maps(5). It is false, and the mapping empty, for what is no file's, and for private
// pages that may be written to.
func parseMapping(line string) (m mapping, ok bool) {
	var perms, offset, device string
	var inode uint64
	n, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &m.from, &m.to, &perms, &offset, &device, &inode)
	if n != 6 || err != nil || inode == 0 || len(perms) != 4 {
		return mapping{}, false
	}
	m.path, m.shared = pathOf(line), perms[3] == 's'
	if m.path == "" || m.to <= m.from || perms[1] == 'w' && !m.shared {
		return mapping{}, false
	}
	return m, true
}

// pathOf returns the path at the end of such a line; empty: there is none.
func pathOf(line string) string {
	if slash := strings.IndexByte(line, '/'); slash >= 0 {
		return line[slash:]
	}
	return ""
}
