package operate

import (
	"context"
	"fmt"
	"io"

	"otpost/api/wire"
)

type accountCmd struct {
	Show     accountShowCmd   `cmd:"" help:"Show an account: its grade, and how it gets security codes."`
	Unlock   accountUnlockCmd `cmd:"" help:"Lift a block: clear the failure counters of an account and of its phone."`
	Erase    accountEraseCmd  `cmd:"" help:"Erase an account: phone, PIN, challenges and messages."`
	SetGrade accountGradeCmd  `cmd:"" help:"Set an account's grade."`
}

// accountArg is what every command about an account takes.
type accountArg struct {
	connection `embed:""`
	asJSON     `embed:""`
	Account    string `arg:"" help:"The portal's own id of the account."`
}

func (c accountArg) show(con *Console, a *wire.Account) error {
	return c.print(con.out, a, func(w io.Writer) {
		pair(w, "account", a.Account)
		pair(w, "grade", a.Grade)
		pair(w, "PIN set", yesNo(a.PINSet))
		pair(w, "SMS codes", a.Identities.SMS.Status)
		pair(w, "phone", a.Identities.SMS.Phone)
		pair(w, "enabled at", clock(a.Identities.SMS.EnabledAt))
		pair(w, "last used at", clock(a.Identities.SMS.LastUsedAt))
		pair(w, "created at", clock(a.CreatedAt))
		pair(w, "updated at", clock(a.UpdatedAt))
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type accountShowCmd struct {
	accountArg `embed:""`
}

// Help shows the command at work.
func (*accountShowCmd) Help() string {
	return examples("otpost account show client-4711", "otpost account show client-4711 --json | jq .grade")
}

// Run shows an account; its phone is masked.
func (c *accountShowCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	a, err := daemon.Account(ctx, c.Account)
	if err != nil {
		return fmt.Errorf("look at account %s: %w", c.Account, err)
	}
	return c.show(con, a)
}

type accountUnlockCmd struct {
	accountArg `embed:""`
}

// Help shows the command at work.
func (*accountUnlockCmd) Help() string {
	return "For somebody who is who they say and mistyped five times. It is written to the audit trail.\n" +
		examples("otpost account unlock client-4711")
}

// Run clears the failure counters and shows the account.
func (c *accountUnlockCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	a, err := daemon.UnlockAccount(ctx, c.Account)
	if err != nil {
		return fmt.Errorf("unlock account %s: %w", c.Account, err)
	}
	return c.show(con, a)
}

type accountEraseCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Account    string `arg:"" help:"The portal's own id of the account."`
	Yes        bool   `short:"y" help:"Do not ask."`
}

// Help shows the command at work.
func (*accountEraseCmd) Help() string {
	return "It cannot be undone. The audit trail keeps a pseudonym of the account.\n" + examples("otpost account erase client-4711 --yes")
}

// Run erases an account after asking.
func (c *accountEraseCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if err := con.sure(c.Yes, fmt.Sprintf("Erase account %s for ever?", c.Account)); err != nil {
		return err
	}
	if err := daemon.EraseAccount(ctx, c.Account); err != nil {
		return fmt.Errorf("erase account %s: %w", c.Account, err)
	}
	return c.print(con.out, map[string]any{"account": c.Account, "erased": true}, func(w io.Writer) { fmt.Fprintf(w, "account %s is erased\n", c.Account) })
}

type accountGradeCmd struct {
	accountArg `embed:""`
	Grade      int `arg:"" help:"The new grade, 0 to 100."`
}

// Help shows the command at work.
func (*accountGradeCmd) Help() string { return examples("otpost account set-grade client-4711 2") }

// Run sets the grade and shows the account.
func (c *accountGradeCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	a, err := daemon.SetGrade(ctx, c.Account, c.Grade)
	if err != nil {
		return fmt.Errorf("set the grade of account %s: %w", c.Account, err)
	}
	return c.show(con, a)
}
