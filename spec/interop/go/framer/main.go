// Command framerpeer is an independent implementation of the Simple Framer (SPEC.md), as a peer for tests:
//
//	framerpeer serve -listen 127.0.0.1:0        serves, and prints the address
//	framerpeer dial -addr HOST:PORT -do NAME    runs a scenario, and prints one line of JSON
//	framerpeer vectors FILE                     checks the vectors
//	framerpeer selftest                         runs all scenarios against itself over loopback
//
// An address may be unix:PATH. The section numbers in the comments are those of SPEC.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	fs := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address to serve on")
	addr := fs.String("addr", "", "address to dial")
	do := fs.String("do", "all", "scenario")
	window := fs.Int64("window", 256<<10, "initial window of a stream")
	connWindow := fs.Int64("conn-window", 1<<20, "window of the connection")
	streams := fs.Int("streams", 1024, "most streams of the peer's at a time")
	limit := fs.Duration("timeout", 2*time.Minute, "longest time for a scenario")
	verbose := fs.Bool("v", false, "tell on stderr how connections end")
	fs.Parse(os.Args[2:])

	cfg := defaultConfig(os.Args[1] == "dial", serveStream)
	cfg.InitialWindow, cfg.ConnectionWindow, cfg.MaxStreams = *window, *connWindow, *streams

	switch os.Args[1] {
	case "serve":
		l, err := net.Listen(network(*listen))
		check(err)
		name := l.Addr().String()
		if l.Addr().Network() == "unix" {
			name = "unix:" + name
		}
		fmt.Printf("listening %s\n", name)
		serve(l, cfg, func(err error) {
			if *verbose {
				fmt.Fprintln(os.Stderr, "connection ended:", err)
			}
		})
	case "dial":
		nc, err := net.DialTimeout(first(network(*addr)), second(network(*addr)), 10*time.Second)
		if err != nil {
			os.Exit(report(nil, *do, err))
		}
		os.Exit(dial(nc, cfg, *do, *limit))
	case "selftest":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		go serve(l, cfg, nil)
		nc, err := net.Dial("tcp", l.Addr().String())
		check(err)
		cfg.Client = true
		os.Exit(dial(nc, cfg, *do, *limit))
	case "vectors":
		if fs.NArg() != 1 {
			usage()
		}
		passed, failed, err := checkVectors(fs.Arg(0), os.Stdout)
		check(err)
		fmt.Printf("%d vectors passed\n", passed)
		if failed > 0 {
			fmt.Printf("%d vectors failed\n", failed)
			os.Exit(1)
		}
	default:
		usage()
	}
}

// dial runs a scenario over a pipe, and gives the exit code.
func dial(nc net.Conn, cfg Config, do string, limit time.Duration) int {
	c := start(nc, cfg)
	type outcome struct {
		f   figures
		err error
	}
	result := make(chan outcome, 1)
	go func() {
		f, err := runScenario(c, do)
		result <- outcome{f, err}
	}()
	var o outcome
	select {
	case o = <-result:
	case <-time.After(limit):
		o.err = fmt.Errorf("%s: not done after %v", do, limit)
	}
	if o.err != nil && c.Err() != nil && c.Err() != o.err {
		o.err = fmt.Errorf("%w (connection: %v)", o.err, c.Err())
	}
	c.Goaway()
	select {
	case <-c.Done():
	case <-time.After(2 * time.Second):
		c.Close()
	}
	return report(o.f, do, o.err)
}

func report(f figures, do string, err error) int {
	line := map[string]any{"ok": err == nil, "scenario": do}
	for k, v := range f {
		line[k] = v
	}
	if err != nil {
		line["error"] = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(line)
	return b2i(err != nil)
}

func first(a, _ string) string  { return a }
func second(_, b string) string { return b }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: framerpeer serve|dial|vectors|selftest [flags]; see the comment of main.go")
	os.Exit(2)
}
