package cli

// Subcommands: the first word after the command's name.

import (
	"context"
	"slices"
	"strings"
)

// A Command is a subcommand. Where its name is "", it is what the command
// does when its first word is no subcommand's.
type Command struct {
	Name string
	Run  Func
	// Ours: it is for the command's own processes, and no one is told of it.
	Ours bool
}

// Dispatch makes a command of subcommands. A first argument that is a word
// must be one of them.
func Dispatch(commands ...Command) Func {
	return func(ctx context.Context, args []string, env Env) error {
		name := ""
		if len(args) > 0 {
			name = args[0]
		}
		i := slices.IndexFunc(commands, func(c Command) bool { return c.Name != "" && c.Name == name })
		if i >= 0 {
			return commands[i].Run(ctx, args[1:], env)
		}
		i = slices.IndexFunc(commands, func(c Command) bool { return c.Name == "" })
		if i >= 0 && (name == "" || strings.HasPrefix(name, "-")) {
			return commands[i].Run(ctx, args, env)
		}
		return Usagef("one of: "+names(commands), "there is no subcommand %q", name)
	}
}

func names(commands []Command) string {
	var n []string
	for _, c := range commands {
		if c.Name != "" && !c.Ours {
			n = append(n, c.Name)
		}
	}
	return strings.Join(n, ", ")
}
