// Package rxmux lets golang.org/x/crypto/ssh open and accept the streams of rxmux: channels of type
// stream@rxmux.dev, with headers both ways. Use Version as the version of your end, so that the other one waits for
// the reply headers. A stream's CloseWrite is its half-close; Close without it is a reset.
package rxmux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	Version       = "SSH-2.0-rxmux_go"
	ChannelType   = "stream@rxmux.dev"
	headerRequest = "headers@rxmux.dev"
	resetRequest  = "reset@rxmux.dev"
)

// Header is a name, in lower case, and one of its values.
type Header struct{ Name, Value string }

// ResetError is what Read gives after the other end has reset the stream.
type ResetError struct {
	Code   uint32
	Reason string
}

func (e *ResetError) Error() string { return fmt.Sprintf("stream reset (%d): %s", e.Code, e.Reason) }

// Encode makes the block of bytes that headers are on the wire.
func Encode(headers []Header) []byte {
	block := binary.BigEndian.AppendUint32(nil, uint32(len(headers)))
	for _, header := range headers {
		for _, text := range []string{header.Name, header.Value} {
			block = append(binary.BigEndian.AppendUint32(block, uint32(len(text))), text...)
		}
	}
	return block
}

// Decode reads such a block.
func Decode(block []byte) ([]Header, error) {
	malformed := errors.New("rxmux: malformed headers")
	if len(block) < 4 || binary.BigEndian.Uint32(block) > 256 {
		return nil, malformed
	}
	headers := make([]Header, binary.BigEndian.Uint32(block))
	rest := block[4:]
	for at := range headers {
		for _, text := range []*string{&headers[at].Name, &headers[at].Value} {
			if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
				return nil, malformed
			}
			end := 4 + binary.BigEndian.Uint32(rest)
			*text, rest = string(rest[4:end]), rest[end:]
		}
	}
	return headers, nil
}

// Stream is a channel with headers.
type Stream struct {
	ssh.Channel
	// Headers came with the opening.
	Headers []Header
	reply   chan []Header
	mutex   sync.Mutex
	last    []Header
	reset   *ResetError
	ended   bool
	closed  chan struct{}
}

// Open opens a stream. The reply headers come later, if the other end is to accept it only then.
func Open(conn ssh.Conn, headers []Header) (*Stream, error) {
	channel, requests, err := conn.OpenChannel(ChannelType, Encode(headers))
	if err != nil {
		return nil, err
	}
	return newStream(channel, requests, headers), nil
}

// Accept accepts a stream that the other end opens, with reply headers.
func Accept(opening ssh.NewChannel, reply []Header) (*Stream, error) {
	headers, err := Decode(opening.ExtraData())
	if err != nil {
		// What becomes of the refusal matters less than that there is no stream.
		_ = opening.Reject(ssh.ConnectionFailed, err.Error())
		return nil, err
	}
	channel, requests, err := opening.Accept()
	if err != nil {
		return nil, err
	}
	stream := newStream(channel, requests, headers)
	_, err = channel.SendRequest(headerRequest, false, Encode(reply))
	return stream, err
}

func newStream(channel ssh.Channel, requests <-chan *ssh.Request, headers []Header) *Stream {
	stream := &Stream{Channel: channel, Headers: headers, reply: make(chan []Header, 1), closed: make(chan struct{})}
	go stream.listen(requests)
	return stream
}

func (s *Stream) listen(requests <-chan *ssh.Request) {
	defer close(s.closed)
	defer close(s.reply)
	for request := range requests {
		s.mutex.Lock()
		switch request.Type {
		case headerRequest:
			s.last, _ = Decode(request.Payload)
			select {
			case s.reply <- s.last:
			default:
			}
		case resetRequest:
			var reset struct {
				Code   uint32
				Reason string
			}
			if ssh.Unmarshal(request.Payload, &reset) == nil {
				s.reset = &ResetError{reset.Code, reset.Reason}
			}
		}
		s.mutex.Unlock()
		if request.WantReply {
			request.Reply(false, nil)
		}
	}
}

// Reply waits for the headers of the other end's acceptance. Only the opener has them, and once.
func (s *Stream) Reply() []Header { return <-s.reply }

// Trailers are the last headers that came; ask for them after Read has given io.EOF.
func (s *Stream) Trailers() []Header {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.last
}

// Read reads, and tells a reset, or a loss, from an end. A channel is closed only after both ends of it, or a reset: one
// that is gone while our half is open was lost with its connection, or closed by Go without an end, and gives
// io.ErrUnexpectedEOF. That is also said of data that is whole, if the channel was gone before its end was read. Once our
// half has ended too, a loss cannot be told from a close, since x/crypto/ssh gives the same for both, and conn.Wait gives
// the loss only after that: whoever must know it then looks for a length, or for trailers.
func (s *Stream) Read(bytes []byte) (int, error) {
	n, err := s.Channel.Read(bytes)
	if err != io.EOF {
		return n, err
	}
	// Requests come by another way than data: after a reset, the channel is closed before long.
	gone := false
	select {
	case <-s.closed:
		gone = true
	case <-time.After(20 * time.Millisecond):
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.reset != nil {
		return n, s.reset
	}
	if gone && !s.ended {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// CloseWrite half-closes.
func (s *Stream) CloseWrite() error {
	// Before it is sent: the other end may close the channel as soon as it has that.
	had := s.setEnded(true)
	err := s.Channel.CloseWrite()
	if err != nil {
		s.setEnded(had)
	}
	return err
}

// setEnded gives what it was before.
func (s *Stream) setEnded(ended bool) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	had := s.ended
	s.ended = ended
	return had
}

// End half-closes, with trailers if there are any.
func (s *Stream) End(trailers []Header) error {
	if trailers != nil {
		if _, err := s.SendRequest(headerRequest, false, Encode(trailers)); err != nil {
			return err
		}
	}
	return s.CloseWrite()
}

// Reset ends both halves at once.
func (s *Stream) Reset(code uint32, reason string) error {
	payload := ssh.Marshal(struct {
		Code   uint32
		Reason string
	}{code, reason})
	if _, err := s.SendRequest(resetRequest, false, payload); err != nil {
		return err
	}
	return s.Close()
}
