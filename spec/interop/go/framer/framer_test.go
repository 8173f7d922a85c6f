package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

const vectorsFile = "../../../../lib/framer/vectors.json"

func TestVectors(t *testing.T) {
	var out strings.Builder
	passed, failed, err := checkVectors(vectorsFile, &out)
	if err != nil {
		t.Fatal(err)
	}
	if failed > 0 || passed == 0 {
		t.Fatalf("%d passed, %d failed\n%s", passed, failed, &out)
	}
}

// Whatever the bytes are, reading them ends without a panic, and an error has a code of §6.
func TestMutations(t *testing.T) {
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	for i := 0; i < 20000; i++ {
		v := list[rnd.Intn(len(list))]
		data, _ := hex.DecodeString(v.Bytes)
		for n := rnd.Intn(4); n >= 0 && len(data) > 8; n-- {
			data[8+rnd.Intn(len(data)-8)] ^= byte(1 << rnd.Intn(8))
		}
		c := newConn(nil, defaultConfig(v.From == "server", nil))
		var ce *ConnError
		if err := c.receive(bytes.NewReader(data)); err != io.EOF && !errors.As(err, &ce) {
			t.Fatalf("%x: %v", data, err)
		}
	}
}

// pair gives the two ends of a pipe: TCP over loopback, or net.Pipe.
func pair(t *testing.T, tcp bool) (client, server net.Conn) {
	if !tcp {
		return net.Pipe()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		name   string
		tcp    bool
		do     string
		change func(*Config)
	}{
		{"tcp", true, "all", func(*Config) {}},
		{"pipe, few streams", false, "all", func(c *Config) { c.MaxStreams = 64 }},
		{"windows below the defaults", true, "some", func(c *Config) {
			c.InitialWindow, c.ConnectionWindow = 1000, 3000
		}},
		{"wide windows", true, "some", func(c *Config) {
			c.InitialWindow, c.ConnectionWindow = maxCredit, maxCredit
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			a, b := pair(t, test.tcp)
			cfg := defaultConfig(false, serveStream)
			test.change(&cfg)
			s := start(b, cfg)
			cfg.Client = true
			c := start(a, cfg)
			for _, sc := range scenarios {
				if sc.name == "bulk" && test.do == "some" {
					continue
				}
				f, err := sc.run(c)
				t.Logf("%s %v", sc.name, f)
				if err != nil {
					t.Fatalf("%s: %v (connection: %v, %v)", sc.name, err, c.Err(), s.Err())
				}
			}
			<-s.Done()
			if err := s.Err(); err != nil {
				t.Error("server:", err)
			}
			c.handlers.Wait()
			s.handlers.Wait()
			if len(s.streams)+len(c.streams) > 0 || s.live != [2]int{} || c.live != [2]int{} {
				t.Error("streams are left")
			}
			for i := 0; runtime.NumGoroutine() > before; i++ {
				if i == 100 {
					t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// raw is a peer of plain bytes.
type raw struct {
	t  *testing.T
	nc net.Conn
}

func newRaw(t *testing.T, cfg Config) (*raw, *Conn) {
	a, b := pair(t, true)
	a.SetDeadline(time.Now().Add(20 * time.Second))
	c := start(b, cfg)
	t.Cleanup(func() { a.Close(); c.Close() })
	return &raw{t, a}, c
}

func (r *raw) send(b []byte) { r.nc.Write(b) }

func (r *raw) hello() {
	r.send(appendFrame([]byte(Preface), typeSettings, 0, 0, []byte{0, 1, 0, 0, 0, 1}))
	r.preface()
}

func (r *raw) preface() {
	var p [8]byte
	if _, err := io.ReadFull(r.nc, p[:]); err != nil || string(p[:]) != Preface {
		r.t.Fatalf("preface %q, %v", p, err)
	}
	if f := r.next(); f.kind != typeSettings {
		r.t.Fatalf("first frame %+v", f)
	}
}

// next reads a frame; one of the kind 255 stands for the end of the pipe.
func (r *raw) next() (f frame) {
	var h [8]byte
	if _, err := io.ReadFull(r.nc, h[:]); err == io.EOF {
		return frame{kind: 255}
	} else if err != nil {
		r.t.Fatal(err)
	}
	f = frame{kind: FrameType(h[0] >> 3), end: h[0]&1 != 0, id: binary.BigEndian.Uint32(h[4:])}
	f.payload = make([]byte, int(h[1])<<16|int(h[2])<<8|int(h[3]))
	if _, err := io.ReadFull(r.nc, f.payload); err != nil {
		r.t.Fatal(err)
	}
	return f
}

// goaway expects a GOAWAY with a code, and the end of the pipe.
func (r *raw) goaway(code Code) {
	r.t.Helper()
	for {
		switch f := r.next(); f.kind {
		case typeGoaway:
			if got := Code(binary.BigEndian.Uint32(f.payload[4:])); got != code {
				r.t.Fatalf("GOAWAY with %v, not %v: %q", got, code, f.payload)
			}
			if f := r.next(); f.kind != 255 {
				r.t.Fatalf("after GOAWAY: %+v", f)
			}
			return
		case 255:
			r.t.Fatalf("no GOAWAY")
		}
	}
}

func openFrame(id uint32, end bool, h ...Header) []byte {
	return appendFrame(nil, typeOpen, byte(b2i(end)), id, appendHeaders([]byte{3}, h))
}

// A wrong preface, or none in time: the pipe is closed without GOAWAY.
func TestWrongPreface(t *testing.T) {
	cfg := defaultConfig(false, serveStream)
	cfg.PrefaceTimeout = 100 * time.Millisecond
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "rxmux/2\n", "", "rxm"} {
		r, _ := newRaw(t, cfg)
		r.send([]byte(text))
		r.preface()
		if f := r.next(); f.kind != 255 {
			t.Errorf("%q: %+v", text, f)
		}
	}
}

// The errors of the vectors are answered on the wire, and within bounds a flood is.
func TestAnswersToErrors(t *testing.T) {
	for name, test := range map[string]struct {
		code  Code
		bytes []byte
	}{
		"second SETTINGS": {codeProtocolError, appendFrame(nil, typeSettings, 0, 0, []byte{0, 1, 0, 0, 0, 1})},
		"long payload":    {codeProtocolError, appendFrameHeader(nil, typeData, 0, 1, defaultMaxFrame+1)},
		"never opened":    {codeProtocolError, appendFrame(nil, typeData, 0, 1, nil)},
		"credit of 0":     {codeFlowControl, appendFrame(nil, typeCredit, 0, 0, make([]byte, 4))},
		"beyond a window": {codeFlowControl, append(openFrame(1, false, Header{"op", "slow"}, Header{"ms", "500"}),
			bytes.Repeat(appendFrame(nil, typeData, 0, 1, make([]byte, 60000)), 5)...)},
		"pings":      {codeCalm, bytes.Repeat(appendFrame(nil, typePing, 0, 0, make([]byte, 8)), 2*calmBurst)},
		"empty DATA": {codeCalm, append(openFrame(1, false), bytes.Repeat(appendFrame(nil, typeData, 0, 1, nil), 2*calmBurst)...)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := defaultConfig(false, serveStream)
			if name == "empty DATA" {
				cfg.Handler = nil
			}
			r, _ := newRaw(t, cfg)
			r.hello()
			go r.send(test.bytes)
			r.goaway(test.code)
		})
	}
}

func TestSilence(t *testing.T) {
	cfg := defaultConfig(false, serveStream)
	cfg.Silence = 200 * time.Millisecond
	r, _ := newRaw(t, cfg)
	r.hello()
	if f := r.next(); f.kind != typePing {
		t.Fatalf("%+v", f)
	}
	r.goaway(codeTimeout)
}

// A STOP before the answer is answered with ACCEPT and DATA END; streams above the limit are refused; a stream error
// before the answer is a REFUSE.
func TestAnswersToStreams(t *testing.T) {
	hold := make(chan struct{})
	cfg := defaultConfig(false, func(s *Stream) { <-hold })
	cfg.MaxStreams = 1
	r, _ := newRaw(t, cfg)
	defer close(hold)
	r.hello()
	r.send(openFrame(1, false))
	r.send(openFrame(3, false))
	r.send(openFrame(5, false, Header{"Upper", ""}))
	r.send(appendFrame(nil, typeStop, 0, 1, u32(5)))
	r.send(appendFrame(nil, typePing, 0, 0, make([]byte, 8)))
	for _, want := range []struct {
		kind FrameType
		id   uint32
		code Code
	}{{typeRefuse, 3, codeRefused}, {typeRefuse, 5, codeProtocolError}, {typeAccept, 1, 0}, {typeData, 1, 0},
		{typePong, 0, 0}} {
		f := r.next()
		if f.kind != want.kind || f.id != want.id || f.kind == typeData && !f.end ||
			f.kind == typeRefuse && Code(binary.BigEndian.Uint32(f.payload)) != want.code {
			t.Fatalf("got %+v, not %+v", f, want)
		}
	}
}

// Data for a stream that is over count for the connection's window, and are given back.
func TestDataAfterReset(t *testing.T) {
	r, _ := newRaw(t, defaultConfig(false, serveStream))
	r.hello()
	r.send(openFrame(1, false, Header{"op", "reset"}))
	for f := r.next(); f.kind != typeReset; f = r.next() {
	}
	go r.send(bytes.Repeat(appendFrame(nil, typeData, 0, 1, make([]byte, 65536)), 16))
	given := 0
	for given < 1<<20 {
		f := r.next()
		if f.kind != typeCredit || f.id != 0 {
			t.Fatalf("%+v", f)
		}
		given += int(binary.BigEndian.Uint32(f.payload))
	}
}

// A new credit, and the change of a credit by SETTINGS that come late (§5.1).
func TestLateSettings(t *testing.T) {
	a, b := pair(t, true)
	a.SetDeadline(time.Now().Add(20 * time.Second))
	c := start(b, defaultConfig(true, nil))
	defer c.Close()
	defer a.Close()
	r := &raw{t, a}
	r.preface()
	s, err := c.Open(nil, 3, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	go s.Write(make([]byte, 30000))
	read := func(want int) {
		t.Helper()
		for got := 0; got < want; {
			if f := r.next(); f.kind == typeData {
				if got += len(f.payload); got > want {
					t.Fatalf("%d bytes, not %d", got, want)
				}
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.sendCredit > 0 {
			t.Fatalf("%d left", s.sendCredit)
		}
	}
	read(defaultInitialWindow)
	settings := []byte{0, 1, 0, 0, 0, 2, 0, 2, 0, 0, 0, 100} // a window of 100: the credit is negative now
	r.send(appendFrame([]byte(Preface), typeSettings, 0, 0, settings))
	r.send(appendFrame(nil, typeCredit, 0, 1, u32(defaultInitialWindow-100)))
	r.send(appendFrame(nil, typeCredit, 0, 1, u32(7)))
	read(7)
}
