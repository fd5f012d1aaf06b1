// Package manual makes what shells and man(1) know of the command line, from the same declaration that parses it, so that
// neither can fall behind.
package manual

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Candidate is one way to go on with a command line.
type Candidate struct {
	Word, Help string
}

// Complete returns how the last of words may go on; the others are complete. Nothing means that only the user knows: a file,
// an id, a number.
func Complete(app *kong.Application, words []string) []Candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	node, pending := walk(app.Node, words[:len(words)-1])
	last := words[len(words)-1]
	var all []Candidate
	switch name, value, assigned := strings.Cut(last, "="); {
	case pending != nil:
		all = values(pending.Value, "")
	case assigned && strings.HasPrefix(name, "-"):
		if f := flagOf(node, name); f != nil {
			all, last = values(f.Value, name+"="), name+"="+value
		}
	case strings.HasPrefix(last, "-"):
		all = flags(node)
	case len(node.Children) > 0:
		all = commands(node)
	case len(node.Positional) > 0:
		all = values(node.Positional[0], "")
	}
	return slices.DeleteFunc(all, func(c Candidate) bool { return !strings.HasPrefix(c.Word, last) })
}

// walk follows complete words down to a command; pending is a flag whose value comes next.
func walk(node *kong.Node, words []string) (at *kong.Node, pending *kong.Flag) {
	for _, w := range words {
		switch {
		case pending != nil:
			pending = nil
		case strings.HasPrefix(w, "-"):
			if f := flagOf(node, w); f != nil && !f.IsBool() {
				pending = f // nil for --flag=value, which no flag is called
			}
		default:
			if i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w }); i >= 0 {
				node = node.Children[i]
			}
		}
	}
	return node, pending
}

// flagOf finds the flag that a word names, among those of node and of the commands above it.
func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

func flags(node *kong.Node) (all []Candidate) {
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			all = append(all, Candidate{"--" + f.Name, firstSentence(f.Help)})
		}
	}
	return all
}

func commands(node *kong.Node) (all []Candidate) {
	for _, n := range node.Children {
		if !n.Hidden {
			all = append(all, Candidate{n.Name, firstSentence(n.Help)})
		}
	}
	return all
}

func values(v *kong.Value, prefix string) (all []Candidate) {
	if v.Enum == "" {
		return nil
	}
	for _, s := range v.EnumSlice() {
		if s != "" {
			all = append(all, Candidate{Word: prefix + s})
		}
	}
	return all
}

func firstSentence(s string) string {
	s, _, _ = strings.Cut(s, ". ")
	return strings.TrimSuffix(s, ".")
}

// Shells are the shells that Script knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script is what a shell must read to complete the program's command lines. It asks the program itself each time, by the
// hidden command "complete", so it need not be renewed when the program is.
func Script(shell string) string {
	switch shell {
	case "bash":
		return bash
	case "zsh":
		return zsh
	case "fish":
		return fish
	}
	return ""
}

const bash = `# bash completion for otpost
_otpost() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%%$'\t'*}")
    done < <(otpost complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _otpost otpost
`

const zsh = `#compdef otpost
_otpost() {
    local line
    local -a found
    for line in "${(@f)$(otpost complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#found )); then
        _describe 'otpost' found
    else
        _files
    fi
}
compdef _otpost otpost
`

const fish = `# fish completion for otpost
function __otpost_complete
    set -l words (commandline -opc) (commandline -ct)
    otpost complete -- $words[2..-1] 2>/dev/null
end
complete -c otpost -n 'count (__otpost_complete) >/dev/null' -f -a '(__otpost_complete)'
`
