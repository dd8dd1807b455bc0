// SPDX-License-Identifier: Apache-2.0

// Command ws_client is a WebSocket client for the cases of the Autobahn test suite: it runs each case that the
// server at -url has, by echoing what comes.  The protocol is that of github.com/coder/websocket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const agent = "coder"

func main() {
	url := flag.String("url", "", "of the fuzzing server, as in ws://127.0.0.1:9001")
	host := flag.String("host", "", "authority to ask for, in place of that of -url")
	perCase := flag.Duration("case-timeout", time.Minute, "for each case")
	flag.Parse()
	text, err := ask(*url+"/getCaseCount", *host)
	if err != nil {
		log.Fatal("getCaseCount: ", err)
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal("getCaseCount: ", err)
	}
	for i := 1; i <= count; i++ {
		if err := run(fmt.Sprintf("%s/runCase?case=%d&agent=%s", *url, i, agent), *host, *perCase); err != nil {
			log.Fatalf("case %d: %v", i, err)
		}
	}
	ask(*url+"/updateReports?agent="+agent, *host) // the server may be gone before it has answered
	fmt.Println(count)
}

// ask returns the message that a resource answers with, if any, before it closes.
func ask(url, host string) (string, error) {
	context, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, _, err := websocket.Dial(context, url, &websocket.DialOptions{Host: host})
	if err != nil {
		return "", err
	}
	defer connection.CloseNow()
	_, message, err := connection.Read(context)
	if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
		err = nil
	}
	return string(message), err
}

// run echoes until the other side ends the case, in whatever way the case is about.
func run(url, host string, timeout time.Duration) error {
	context, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	connection, _, err := websocket.Dial(context, url, &websocket.DialOptions{Host: host, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return err
	}
	defer connection.CloseNow()
	connection.SetReadLimit(-1)
	for {
		if err := echo(context, connection); err != nil {
			return context.Err()
		}
	}
}

func echo(context context.Context, connection *websocket.Conn) error {
	kind, message, err := connection.Read(context)
	if err != nil {
		return err
	}
	// The library leaves this to those who use it.
	if kind == websocket.MessageText && !utf8.Valid(message) {
		return errors.Join(errors.New("not UTF-8"), connection.Close(websocket.StatusInvalidFramePayloadData, ""))
	}
	return connection.Write(context, kind, message)
}
