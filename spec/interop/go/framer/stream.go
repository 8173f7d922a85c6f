package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Errors of a stream.
type (
	// RefusedError is a REFUSE of the peer's (§3.7), or what amounts to it: a GOAWAY below the stream's id.
	RefusedError struct {
		Code    Code
		Reason  string
		Headers Headers
	}
	// ResetError is a RESET, of the peer's or (Local) of ours.
	ResetError struct {
		Code   Code
		Reason string
		Local  bool
	}
	// StopError says that the peer asked to send no more (§3.5).
	StopError struct{ Code Code }
)

func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %v %s", e.Code, e.Reason) }
func (e *StopError) Error() string    { return fmt.Sprintf("stopped: %v", e.Code) }
func (e *ResetError) Error() string {
	return fmt.Sprintf("reset: %v %s (local: %v)", e.Code, e.Reason, e.Local)
}

var (
	errGoingAway = errors.New("the connection takes no more streams")
	errAnswered  = errors.New("the stream has been answered already")
	errEnded     = errors.New("this half of the stream is over")
)

// Stream is one stream (§3). Its methods may be called from any goroutine; Write and the like from one at a time.
// All fields are guarded by the connection's mutex.
type Stream struct {
	c       *Conn
	id      uint32
	urgency byte
	mine    bool // we opened it
	cond    *sync.Cond
	over    bool  // both halves are over (§3.4)
	err     error // why, unless both halves ended

	request  Headers // of the OPEN
	reply    Headers // of the ACCEPT
	trailers Headers // of the peer's TRAILERS
	answered bool    // ACCEPT or REFUSE has been sent or received

	// the peer's half
	in         bytes.Buffer
	recvCredit int64 // what the peer may still send
	taken      int64 // what the application took and no CREDIT has given back yet
	recvEnd    bool
	stopSent   bool // we sent STOP: what comes is discarded

	// our half
	out         []byte // rest of the Write in progress
	outTrailers Headers
	wantEnd     bool // END, or the trailers, come after out
	sentEnd     bool
	sendCredit  int64
	stopped     *StopError // the peer sent STOP
	queued      bool       // stands in the connection's ready queue
}

// ID is the stream's number.
func (s *Stream) ID() uint32 { return s.id }

// Request gives the headers of the OPEN.
func (s *Stream) Request() Headers { return s.request }

// Answer waits for the answer to a stream that we opened, and gives the headers of the ACCEPT.
func (s *Stream) Answer() (Headers, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for !s.answered && !s.over {
		s.cond.Wait()
	}
	if !s.answered || s.reply == nil && s.err != nil {
		return nil, s.err
	}
	return s.reply, nil
}

// Accept answers a stream that the peer opened (§3.2).
func (s *Stream) Accept(h Headers) error {
	if err := checkOwn(h); err != nil {
		return err
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waitControl()
	switch {
	case s.over:
		return s.failure()
	case s.stopped != nil:
		return s.stopped
	case s.mine || s.answered:
		return errAnswered
	}
	s.accept(h)
	return nil
}

func (s *Stream) accept(h Headers) {
	s.answered, s.reply = true, h
	s.c.control(typeAccept, 0, s.id, appendHeaders(nil, h))
	s.ready()
}

// Refuse answers a stream that the peer opened, and ends it (§3.7).
func (s *Stream) Refuse(code Code, reason string, h Headers) error {
	if err := checkOwn(h); err != nil {
		return err
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.over:
		return s.failure()
	case s.mine || s.answered:
		return errAnswered
	}
	c.refuse(s.id, code, reason, h)
	s.finish(&RefusedError{code, reason, h})
	return nil
}

// Read gives data of the peer's half, and io.EOF after its end (then Trailers are known). It grants credit as it
// takes (§5.2).
func (s *Stream) Read(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case s.in.Len() > 0:
			n, _ := s.in.Read(p)
			if s.in.Len() == 0 && s.recvEnd {
				s.in = bytes.Buffer{}
			}
			s.taken += int64(n)
			s.grant()
			c.giveBack(n)
			return n, nil
		case s.err != nil:
			return 0, s.err
		case s.recvEnd:
			return 0, io.EOF
		case s.stopSent:
			return 0, errEnded
		}
		s.cond.Wait()
	}
}

// grant sends CREDIT when half of the window has been taken (§7).
func (s *Stream) grant() {
	if s.recvEnd || s.over || s.stopSent || s.taken*2 < s.c.cfg.InitialWindow {
		return
	}
	s.c.credit(s.id, s.taken)
	s.recvCredit += s.taken
	s.taken = 0
}

// Trailers gives the peer's trailers, after Read has said io.EOF.
func (s *Stream) Trailers() Headers {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.trailers
}

// WaitEnd waits until the peer's half is over, whether or not its data are read.
func (s *Stream) WaitEnd() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for !s.recvEnd && !s.over {
		s.cond.Wait()
	}
	return s.err
}

// Write sends data, and waits until the credits and the pipe have taken all of it.
func (s *Stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.write(p, false, nil)
}

// CloseWrite ends our half (§3.3).
func (s *Stream) CloseWrite() error {
	_, err := s.write(nil, true, nil)
	return err
}

// CloseTrailers ends our half with trailers.
func (s *Stream) CloseTrailers(h Headers) error {
	if err := checkOwn(h); err != nil {
		return err
	}
	_, err := s.write(nil, true, append(Headers{}, h...))
	return err
}

func (s *Stream) write(p []byte, end bool, trailers Headers) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.writeError(); err != nil {
		return 0, err
	}
	if s.wantEnd {
		return 0, errEnded
	}
	s.out, s.wantEnd, s.outTrailers = p, end, trailers
	s.ready()
	for len(s.out) > 0 {
		if err := s.writeError(); err != nil {
			n := len(p) - len(s.out)
			s.out = nil
			return n, err
		}
		s.cond.Wait()
	}
	if err := s.writeError(); err != nil && err != errEnded {
		return 0, err // reset or stopped meanwhile: what was written may be lost
	}
	return len(p), nil
}

func (s *Stream) writeError() error {
	switch {
	case s.err != nil:
		return s.err
	case s.stopped != nil:
		return s.stopped
	case s.over:
		return errEnded
	}
	return nil
}

// Stop asks the peer to send no more (§3.5). What is there, and what still comes, is discarded.
func (s *Stream) Stop(code Code) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.stop(code)
}

func (s *Stream) stop(code Code) {
	if s.over || s.recvEnd || s.stopSent {
		return
	}
	s.stopSent = true
	s.c.control(typeStop, 0, s.id, u32(uint32(code)))
	s.drop()
	s.cond.Broadcast()
}

// Reset ends both halves at once (§3.4).
func (s *Stream) Reset(code Code, reason string) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.reset(code, reason)
}

func (s *Stream) reset(code Code, reason string) {
	if s.over {
		return
	}
	s.c.control(typeReset, 0, s.id, appendString(u32(uint32(code)), reason))
	s.finish(&ResetError{code, reason, true})
}

// Close leaves the stream: what was not ended is stopped or reset, what was not read is dropped.
func (s *Stream) Close() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.over:
		s.drop()
	case s.wantEnd:
		s.stop(codeCancel)
		s.drop()
	default:
		s.reset(codeCancel, "")
	}
}

// The rest is called with the connection's mutex held.

// ready puts the stream into the queue of those that have something to send and the stream's credit for it.
func (s *Stream) ready() {
	if s.queued || !s.hasOutput() {
		return
	}
	s.queued = true
	q := &s.c.queues[s.urgency]
	*q = append(*q, s)
	s.c.wake.Signal()
}

func (s *Stream) hasOutput() bool {
	if s.over || s.sentEnd || !s.mine && !s.answered {
		return false
	}
	return len(s.out) > 0 && s.sendCredit > 0 || len(s.out) == 0 && s.wantEnd
}

// drop throws undelivered data away, and gives it back to the connection (§5.5).
func (s *Stream) drop() {
	n := s.in.Len()
	s.in = bytes.Buffer{}
	s.c.giveBack(n)
}

// finish ends both halves, with an error or (nil) because both have ended.
func (s *Stream) finish(err error) {
	if s.over {
		return
	}
	s.over, s.err = true, err
	if err != nil {
		s.drop()
		s.out = nil
	}
	delete(s.c.streams, s.id)
	s.c.live[b2i(s.mine)]--
	s.cond.Broadcast()
	s.c.checkDrained()
}

// halfOver finishes the stream when both halves are.
func (s *Stream) halfOver() {
	if s.recvEnd && s.sentEnd {
		s.finish(nil)
	}
	s.cond.Broadcast()
}

// gotStop answers a STOP of the peer's (§3.5).
func (s *Stream) gotStop(code Code) {
	if s.stopped != nil || s.sentEnd {
		return
	}
	s.stopped = &StopError{code}
	s.out, s.wantEnd, s.sentEnd = nil, true, true
	if !s.mine && !s.answered {
		s.accept(Headers{})
	}
	s.c.control(typeData, flagEnd, s.id, nil)
	s.halfOver()
}

func (s *Stream) failure() error {
	if s.err != nil {
		return s.err
	}
	return errEnded
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
