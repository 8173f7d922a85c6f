package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Preface is what each end sends first (§1).
const Preface = "rxmux/1\n"

// FrameType is the type of a frame (§2).
type FrameType uint8

// The frame types of §2.
const (
	typeSettings FrameType = iota
	typeOpen
	typeAccept
	typeRefuse
	typeData
	typeCredit
	typeTrailers
	typeStop
	typeReset
	typePing
	typePong
	typeGoaway
	typeLastSkipped FrameType = 23
)

const (
	frameHeaderLen = 8
	flagEnd        = 1
)

// The settings of §4.1, and what holds until they arrive.
const (
	settingRole             = 1
	settingInitialWindow    = 2
	settingConnectionWindow = 3
	settingMaxFrame         = 4

	maxSettings             = 32
	defaultInitialWindow    = 16384
	defaultConnectionWindow = 65536
	defaultMaxFrame         = 65536
	limitMaxFrame           = 1<<24 - 1
	maxCredit               = 1<<31 - 1
	maxStreamID             = 1<<31 - 1
)

// Code is an error code (§6).
type Code uint32

// The codes of §6.
const (
	codeNoError Code = iota
	codeProtocolError
	codeInternalError
	codeFlowControl
	codeRefused
	codeCancel
	codeOverflow
	codeLimit
	codeTimeout
	codeCalm
)

var codeWords = [...]string{"no-error", "protocol-error", "internal-error", "flow-control", "refused", "cancel",
	"overflow", "limit", "timeout", "calm"}

// String is the word of §6, or the number.
func (c Code) String() string {
	if int(c) < len(codeWords) {
		return codeWords[c]
	}
	return fmt.Sprint(uint32(c))
}

// ConnError is a connection error (§6). Silent ones are not answered with a GOAWAY.
type ConnError struct {
	Code   Code
	Reason string
	Silent bool
	Remote bool // the peer said so, by GOAWAY
}

func (e *ConnError) Error() string {
	who := ""
	if e.Remote {
		who = "peer: "
	}
	return fmt.Sprintf("%sconnection error %v: %s", who, e.Code, e.Reason)
}

func protocolError(format string, args ...any) *ConnError {
	return &ConnError{Code: codeProtocolError, Reason: fmt.Sprintf(format, args...)}
}

// Header is a name and a value of a header block (§2).
type Header struct{ Name, Value string }

// Headers keep their order, and a name may stand more than once (§2).
type Headers []Header

// Get gives the first value of a name, or "".
func (h Headers) Get(name string) string {
	for _, e := range h {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// String is the text form of events: [a=1,b=2].
func (h Headers) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range h {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(e.Name + "=" + e.Value)
	}
	b.WriteByte(']')
	return b.String()
}

// check tells whether names and values have the form of §2. That the strings are UTF-8 is taken as part of it.
func (h Headers) check() error {
	for _, e := range h {
		if !validName(e.Name) {
			return fmt.Errorf("header name %q", e.Name)
		}
		if strings.ContainsAny(e.Value, "\x00\r\n") || !utf8.ValidString(e.Value) {
			return fmt.Errorf("value of header %q", e.Name)
		}
	}
	return nil
}

func validName(s string) bool {
	s = strings.TrimPrefix(s, ":")
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// size is how long the block gets, without its own length.
func (h Headers) size() (n int) {
	for _, e := range h {
		n += 4 + len(e.Name) + len(e.Value)
	}
	return n
}

// appendFrameHeader appends the eight bytes before a payload (§2).
func appendFrameHeader(b []byte, t FrameType, flags byte, id uint32, length int) []byte {
	return append(b, byte(t)<<3|flags, byte(length>>16), byte(length>>8), byte(length),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendHeaders(b []byte, h Headers) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(h.size()))
	for _, e := range h {
		b = appendString(appendString(b, e.Name), e.Value)
	}
	return b
}

// appendFrame appends a frame whose payload is at hand.
func appendFrame(b []byte, t FrameType, flags byte, id uint32, payload []byte) []byte {
	return append(appendFrameHeader(b, t, flags, id, len(payload)), payload...)
}

// cursor reads a payload; the first thing that does not fit sets bad.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u8() (v byte) {
	if p := c.take(1); p != nil {
		v = p[0]
	}
	return v
}

func (c *cursor) u16() (v uint16) {
	if p := c.take(2); p != nil {
		v = binary.BigEndian.Uint16(p)
	}
	return v
}

func (c *cursor) u32() (v uint32) {
	if p := c.take(4); p != nil {
		v = binary.BigEndian.Uint32(p)
	}
	return v
}

func (c *cursor) str() string { return string(c.take(int(c.u16()))) }

// reason is a string for people: what is not UTF-8 in it is replaced.
func (c *cursor) reason() string { return strings.ToValidUTF8(c.str(), "\uFFFD") }

// headers reads a block (§2). The pairs must fill it exactly. Beyond max pairs it counts, and keeps none.
func (c *cursor) headers(max int) (h Headers, tooMany bool) {
	block := cursor{b: c.take(int(c.u16()))}
	for len(block.b) > 0 && !block.bad {
		name := block.take(int(block.u16()))
		value := block.take(int(block.u16()))
		if len(h) == max {
			tooMany = true
			continue
		}
		h = append(h, Header{string(name), string(value)})
	}
	c.bad = c.bad || block.bad
	return h, tooMany
}

// end tells whether the payload fitted its form exactly.
func (c *cursor) end() bool { return !c.bad && len(c.b) == 0 }
