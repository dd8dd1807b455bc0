// SPDX-License-Identifier: Apache-2.0

// Command ext_authz is an authorization server in the words of Envoy's own protocol buffers, by gRPC's own server:
// what it understands of a question, others do too, and what it says is said as they say it.
//
//	ext_authz -port=9000
//
// The path of a request says what to answer: /deny, /error, or anything else to allow it. What was asked comes back in
// the field x-asked of the request, or in the body of the denial, as JSON.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type server struct {
	auth.UnimplementedAuthorizationServer
}

func field(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
}

func added(name, value string) *core.HeaderValueOption {
	out := field(name, value)
	out.Append = wrapperspb.Bool(true)
	return out
}

func (server) Check(_ context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	asked, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		return nil, err
	}
	path := request.GetAttributes().GetRequest().GetHttp().GetPath()
	if strings.HasPrefix(path, "/error") {
		return nil, status.Error(codes.Unavailable, "not today")
	}
	if strings.HasPrefix(path, "/deny") {
		return &auth.CheckResponse{
			Status: &rpc.Status{Code: int32(codes.Unauthenticated)},
			HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
				Status:  &envoy.HttpStatus{Code: envoy.StatusCode_Unauthorized},
				Headers: []*core.HeaderValueOption{field("WWW-Authenticate", "Bearer"), field("Content-Type", "application/json")},
				Body:    string(asked),
			}},
		}, nil
	}
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{
				field("X-Asked", strings.ReplaceAll(string(asked), "\n", " ")), field("X-User", "ann"), added("X-Many", "2")},
			HeadersToRemove:         []string{"x-gone"},
			ResponseHeadersToAdd:    []*core.HeaderValueOption{field("X-Out", "new")},
			QueryParametersToSet:    []*core.QueryParameter{{Key: "new", Value: "a b"}},
			QueryParametersToRemove: []string{"token"},
		}},
	}, nil
}

func main() {
	port := flag.Int("port", 0, "where to listen")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	out := grpc.NewServer()
	auth.RegisterAuthorizationServer(out, server{})
	log.Fatal(out.Serve(listener))
}
