// The other end of the gRPC specs: google.golang.org/grpc as it comes, with messages that are bytes.
//
//	grpc serve                 prints its port, and echoes messages until its stdin ends
//	grpc stream ADDRESS COUNT  message by message in one call, each once the last has come back
//	grpc calls ADDRESS COUNT   a call for each message
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"google.golang.org/grpc"
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string   { return "raw" }
func (raw) String() string { return "raw" }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	echo := func(_ interface{}, stream grpc.ServerStream) error {
		for {
			var message []byte
			if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
	check(grpc.NewServer(grpc.CustomCodec(raw{}), grpc.UnknownServiceHandler(echo)).Serve(listener))
}

func stream(connection *grpc.ClientConn, count int) {
	kind := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := connection.NewStream(context.Background(), kind, "/spec.Spec/Stream")
	check(err)
	right := 0
	for ; right < count; right++ {
		message, answer := []byte(fmt.Sprint("message ", right)), []byte(nil)
		check(stream.SendMsg(&message))
		check(stream.RecvMsg(&answer))
		if string(answer) != string(message) {
			break
		}
	}
	check(stream.CloseSend())
	var rest []byte
	if err := stream.RecvMsg(&rest); !errors.Is(err, io.EOF) {
		check(fmt.Errorf("no end, but %q, %v", rest, err))
	}
	fmt.Printf("{\"right\":%d}\n", right)
}

func calls(connection *grpc.ClientConn, count int) {
	right := 0
	for ; right < count; right++ {
		message, answer := []byte(fmt.Sprint("message ", right)), []byte(nil)
		check(connection.Invoke(context.Background(), "/spec.Spec/Call", &message, &answer))
		if string(answer) != string(message) {
			break
		}
	}
	fmt.Printf("{\"right\":%d}\n", right)
}

func main() {
	if os.Args[1] == "serve" {
		serve()
		return
	}
	connection, err := grpc.Dial(
		os.Args[2], grpc.WithInsecure(), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	)
	check(err)
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	if os.Args[1] == "stream" {
		stream(connection, count)
	} else {
		calls(connection, count)
	}
}
