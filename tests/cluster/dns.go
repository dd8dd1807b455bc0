// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"golang.org/x/net/dns/dnsmessage"
)

const clusterDomain = "cluster.local"

// resolvConf is the resolver configuration of a Pod.
func resolvConf(namespace string) string {
	return "nameserver " + nodeIP + "\n" +
		"search " + namespace + ".svc." + clusterDomain + " svc." + clusterDomain + " " + clusterDomain + "\n" +
		"options ndots:5 timeout:1\n"
}

// serveDNS answers for the names of Services, and knows no other names.
func (s *serviceProxy) serveDNS() error {
	socket, err := net.ListenPacket("udp", net.JoinHostPort(nodeIP, "53"))
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, client, err := socket.ReadFrom(buffer)
			if err != nil {
				klog.ErrorS(err, "DNS ended")
				return
			}
			if answer, err := s.answer(buffer[:n]); err == nil {
				socket.WriteTo(answer, client)
			}
		}
	}()
	return nil
}

func (s *serviceProxy) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	addresses, target, found := s.resolve(strings.ToLower(question.Name.String()))
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, Authoritative: true,
			RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{question},
	}
	if !found {
		reply.RCode = dnsmessage.RCodeNameError
	}
	record := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1}
	if target != "" {
		if name, err := dnsmessage.NewName(strings.TrimSuffix(target, ".") + "."); err == nil {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: record, Body: &dnsmessage.CNAMEResource{CNAME: name}})
		}
	}
	for _, a := range addresses {
		switch {
		case a.Is4() && (question.Type == dnsmessage.TypeA || question.Type == dnsmessage.TypeALL):
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: record, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && (question.Type == dnsmessage.TypeAAAA || question.Type == dnsmessage.TypeALL):
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: record, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return reply.Pack()
}

// resolve looks up SERVICE.NAMESPACE.svc.cluster.local. and, for the Pods of a
// headless Service, HOSTNAME before it.
func (s *serviceProxy) resolve(name string) (addresses []netip.Addr, target string, found bool) {
	local, ok := strings.CutSuffix(name, ".svc."+clusterDomain+".")
	if !ok {
		return nil, "", false
	}
	labelsOf := strings.Split(local, ".")
	if len(labelsOf) < 2 || len(labelsOf) > 3 {
		return nil, "", false
	}
	n := len(labelsOf)
	service, err := s.services.Services(labelsOf[n-1]).Get(labelsOf[n-2])
	if err != nil {
		return nil, "", false
	}
	if service.Spec.ExternalName != "" {
		return nil, service.Spec.ExternalName, true
	}
	for _, text := range service.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil && n == 2 {
			addresses = append(addresses, ip)
		}
	}
	if len(addresses) > 0 {
		return addresses, "", true
	}
	for _, slice := range s.slicesOf(service) {
		for _, endpoint := range slice.Endpoints {
			if n == 3 && (endpoint.Hostname == nil || *endpoint.Hostname != labelsOf[0]) {
				continue
			}
			if ready := endpoint.Conditions.Ready; ready != nil && !*ready && !service.Spec.PublishNotReadyAddresses {
				continue
			}
			for _, text := range endpoint.Addresses {
				if ip, err := netip.ParseAddr(text); err == nil && !slices.Contains(addresses, ip) {
					addresses = append(addresses, ip)
				}
			}
		}
	}
	return addresses, "", n == 2 || len(addresses) > 0
}
