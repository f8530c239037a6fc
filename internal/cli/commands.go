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
}

// Dispatch makes a command of subcommands. A first argument that is a word,
// neither a flag nor a subcommand, goes to the default, which refuses it if it
// takes no arguments.
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
		if i >= 0 {
			return commands[i].Run(ctx, args, env)
		}
		return Usagef("one of: "+names(commands), "unknown subcommand %q", name)
	}
}

func names(commands []Command) string {
	var n []string
	for _, c := range commands {
		n = append(n, c.Name)
	}
	return strings.Join(n, ", ")
}
