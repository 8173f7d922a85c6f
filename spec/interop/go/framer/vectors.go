package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// vector is an entry of vectors.json (§7): what one end sends, and what it says, or the error that answers it.
type vector struct {
	Name   string   `json:"name"`
	From   string   `json:"from"`
	Bytes  string   `json:"bytes"`
	Events []string `json:"events"`
	Error  *struct {
		Code *string `json:"code"` // null: the pipe is closed without GOAWAY
	} `json:"error"`
}

// checkVectors prints each mismatch, and tells how many entries passed and failed.
func checkVectors(file string, out io.Writer) (passed, failed int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		return 0, 0, err
	}
	for _, v := range list {
		if problem := v.check(); problem != "" {
			failed++
			fmt.Fprintf(out, "%s: %s\n", v.Name, problem)
		} else {
			passed++
		}
	}
	return passed, failed, nil
}

// check feeds the bytes at once and then one by one, which must not differ, to an end in the other role. That end has
// announced the defaults of §4.1, reads nothing, grants nothing, and has opened each of its own streams that the
// bytes mention.
func (v vector) check() string {
	data, err := hex.DecodeString(v.Bytes)
	if err != nil {
		return err.Error()
	}
	if v.From != "client" && v.From != "server" {
		return "from " + v.From
	}
	for _, r := range []io.Reader{bytes.NewReader(data), &oneByOne{data}} {
		if problem := v.feed(r); problem != "" {
			return problem
		}
	}
	return ""
}

func (v vector) feed(r io.Reader) string {
	cfg := defaultConfig(v.From == "server", nil)
	cfg.InitialWindow, cfg.ConnectionWindow = defaultInitialWindow, defaultConnectionWindow
	c := newConn(nil, cfg)
	events := []string{}
	c.tracer = func(s string) { events = append(events, s) }
	c.assume = map[uint32]struct{}{}
	err := c.receive(r)
	var ce *ConnError
	if errors.As(err, &ce) && ce.Remote {
		err = io.EOF // a GOAWAY of the peer's is an event
	}
	switch {
	case (v.Error == nil) == (v.Events == nil):
		return "needs either events or error"
	case v.Error == nil && err != io.EOF:
		return fmt.Sprintf("error %v", err)
	case v.Error == nil:
		if got, want := strings.Join(events, "\n"), strings.Join(v.Events, "\n"); got != want {
			return fmt.Sprintf("got\n%s\nwanted\n%s", got, want)
		}
	case !errors.As(err, &ce):
		return fmt.Sprintf("no error, but %v", events)
	case v.Error.Code == nil && !ce.Silent:
		return fmt.Sprintf("answered: %v", err)
	case v.Error.Code != nil && (ce.Silent || ce.Code.String() != *v.Error.Code):
		return fmt.Sprintf("not %s: %v", *v.Error.Code, err)
	}
	return ""
}

type oneByOne struct{ rest []byte }

func (o *oneByOne) Read(p []byte) (int, error) {
	if len(o.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:1], o.rest)
	o.rest = o.rest[n:]
	return n, nil
}
