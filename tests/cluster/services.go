// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const udpSessionLife = 30 * time.Second

// serviceProxy makes Services reachable at their cluster and load balancer
// addresses, and gives load balancer addresses out.  It listens on every
// address and port itself and copies the data to a ready endpoint: slower than
// the rules of a kernel, but it needs nothing from the kernel.  The endpoint
// sees connections coming from the node's address.
type serviceProxy struct {
	client   kubernetes.Interface
	services corelisters.ServiceLister
	slices   cache.Indexer // EndpointSlices, also by Service
	wake     chan struct{}

	mu         sync.Mutex // guards what follows, which tests and informers reach for
	changed    changes
	forwarders map[frontend]*forwarder
	faults     map[string]string // by NAMESPACE/NAME: "freeze" or "refuse"

	// Of run alone.
	served map[string][]frontend // by NAMESPACE/NAME
	given  map[netip.Addr]string // load balancer addresses and whose they are
}

// changes is what has to be looked at again.  A change costs what the Services that it concerns cost,
// however many there are: tests measure times beside thousands.
type changes struct {
	services  map[string]bool // NAMESPACE/NAME
	balancers bool            // load balancer Services among them
}

// target is where the connections to a frontend go.
type target struct {
	service  string // NAMESPACE/NAME
	backends []string
}

// frontend is one address at which a Service can be reached.
type frontend struct {
	protocol v1.Protocol
	address  netip.AddrPort
}

func startServiceProxy(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) *serviceProxy {
	services := factory.Core().V1().Services()
	endpointSlices := factory.Discovery().V1().EndpointSlices().Informer()
	s := &serviceProxy{
		client:     client,
		services:   services.Lister(),
		slices:     endpointSlices.GetIndexer(),
		wake:       make(chan struct{}, 1),
		changed:    changes{services: map[string]bool{}},
		forwarders: map[frontend]*forwarder{}, faults: map[string]string{},
		served: map[string][]frontend{}, given: map[netip.Addr]string{},
	}
	if err := endpointSlices.AddIndexers(cache.Indexers{byService: serviceOf}); err != nil {
		klog.ErrorS(err, "index EndpointSlices")
	}
	services.Informer().AddEventHandler(eachOf(func(object any) {
		if service, ok := object.(*v1.Service); ok {
			s.note(service.Namespace+"/"+service.Name, service.Spec.Type == v1.ServiceTypeLoadBalancer)
		}
	}))
	endpointSlices.AddEventHandler(eachOf(func(object any) {
		names, _ := serviceOf(object)
		for _, name := range names {
			s.note(name, false)
		}
	}))
	return s
}

// byService is the index of EndpointSlices by their Service.
const byService = "service"

// serviceOf returns the NAMESPACE/NAME of the Service that an EndpointSlice belongs to, if there is one.
func serviceOf(object any) ([]string, error) {
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok || slice.Labels[discoveryv1.LabelServiceName] == "" {
		return nil, nil
	}
	return []string{slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]}, nil
}

// eachOf calls see with every state of an object that an informer tells of, the one before a change
// too.
func eachOf(see func(any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    see,
		UpdateFunc: func(before, object any) { see(before); see(object) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			see(object)
		},
	}
}

// note has a Service looked at again.
func (s *serviceProxy) note(name string, balancer bool) {
	s.mu.Lock()
	s.changed.services[name] = true
	s.changed.balancers = s.changed.balancers || balancer
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *serviceProxy) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.mu.Lock()
			changed := s.changed
			s.changed = changes{services: map[string]bool{}}
			s.mu.Unlock()
			s.sync(ctx, changed)
		}
	}
}

// sync brings the forwarders in line with Services and their EndpointSlices.
func (s *serviceProxy) sync(ctx context.Context, changed changes) {
	if changed.balancers {
		services, err := s.services.List(labels.Everything())
		if err != nil {
			klog.ErrorS(err, "list Services")
			return
		}
		slices.SortFunc(services, func(a, b *v1.Service) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
		s.giveAddresses(ctx, services)
	}
	wanted := map[frontend]target{}
	for name := range changed.services {
		s.addFrontends(name, wanted)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What is given up goes first: another Service may have the address now.
	for name := range changed.services {
		var kept []frontend
		for _, f := range s.served[name] {
			if wanted[f].service == name {
				kept = append(kept, f)
			} else if s.forwarders[f] != nil && s.forwarders[f].target().service == name {
				s.forwarders[f].close()
				delete(s.forwarders, f)
			}
		}
		if s.served[name] = kept; kept == nil {
			delete(s.served, name)
		}
	}
	for f, to := range wanted {
		existing := s.forwarders[f]
		if existing == nil {
			var err error
			if existing, err = newForwarder(f); err != nil {
				klog.ErrorS(err, "cannot listen for a Service", "address", f.address)
				s.changed.services[to.service] = true // with the next change
				continue
			}
			s.forwarders[f] = existing
		}
		if !slices.Contains(s.served[to.service], f) {
			s.served[to.service] = append(s.served[to.service], f)
		}
		existing.setTarget(to)
		existing.setFault(s.faults[to.service])
	}
}

// addFrontends adds where a Service can be reached, if it is there.
func (s *serviceProxy) addFrontends(name string, to map[frontend]target) {
	namespace, short, _ := strings.Cut(name, "/")
	service, err := s.services.Services(namespace).Get(short)
	if err != nil {
		return
	}
	for _, port := range service.Spec.Ports {
		for _, ip := range serviceAddresses(service) {
			to[frontend{port.Protocol, netip.AddrPortFrom(ip, uint16(port.Port))}] =
				target{name, s.backends(service, port, ip.Is6())}
		}
	}
}

// slicesOf returns the EndpointSlices of a Service.
func (s *serviceProxy) slicesOf(service *v1.Service) (list []*discoveryv1.EndpointSlice) {
	objects, err := s.slices.ByIndex(byService, service.Namespace+"/"+service.Name)
	if err != nil {
		klog.ErrorS(err, "look up EndpointSlices")
	}
	for _, object := range objects {
		list = append(list, object.(*discoveryv1.EndpointSlice))
	}
	return list
}

// fault breaks the TCP connections that go through a Service, see faults.go.
func (s *serviceProxy) fault(verb, service string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit []*forwarder
	for _, f := range s.forwarders {
		if f.target().service == service && f.listener != nil {
			hit = append(hit, f)
		}
	}
	if len(hit) == 0 && verb != "mend" {
		return "", fmt.Errorf("no Service %q with an address", service)
	}
	connections := 0
	switch verb {
	case "freeze", "refuse":
		s.faults[service] = verb
	case "mend":
		delete(s.faults, service)
	}
	for _, f := range hit {
		f.setFault(s.faults[service])
		switch verb {
		case "cut", "refuse":
			connections += f.drop(reset)
		case "vanish":
			connections += f.drop(vanish)
		}
	}
	return fmt.Sprintf("%d connections\n", connections), nil
}

// serviceAddresses returns the addresses of a Service which this node serves.
func serviceAddresses(service *v1.Service) (addresses []netip.Addr) {
	for _, text := range service.Spec.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil { // not "None"
			addresses = append(addresses, ip)
		}
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(ingress.IP); err == nil && loadBalancers(ip.Is6()).Contains(ip) {
			addresses = append(addresses, ip)
		}
	}
	return addresses
}

// loadBalancers is the network that addresses of an IP family are given out of.
func loadBalancers(six bool) netip.Prefix {
	if six {
		return netip.MustParsePrefix(loadBalancerNetwork6)
	}
	return netip.MustParsePrefix(loadBalancerNetwork)
}

// backends returns the addresses of the ready endpoints of a Service's port; if
// there is none, of those that still serve while they end, as kube-proxy does.  They are
// of one IP family.
func (s *serviceProxy) backends(service *v1.Service, port v1.ServicePort, six bool) []string {
	var ready, ending []string
	for _, slice := range s.slicesOf(service) {
		if (slice.AddressType == discoveryv1.AddressTypeIPv6) != six {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port.Name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				var to *[]string
				switch c := endpoint.Conditions; {
				case c.Ready == nil || *c.Ready || service.Spec.PublishNotReadyAddresses:
					to = &ready
				case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
					to = &ending
				default:
					continue
				}
				for _, address := range endpoint.Addresses {
					*to = append(*to, net.JoinHostPort(address, strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}

// giveAddresses gives every load balancer Service an address of each of its IP
// families: the one it asks for if that is free, else the one it has or any free
// one.
func (s *serviceProxy) giveAddresses(ctx context.Context, services []*v1.Service) {
	// Kept from one call to the next: what the informer shows may be older than what was given, and
	// the address would be given again.
	alive := map[string]bool{}
	for _, service := range services {
		alive[string(service.UID)] = service.Spec.Type == v1.ServiceTypeLoadBalancer
	}
	for ip, owner := range s.given {
		if !alive[owner] {
			delete(s.given, ip)
		}
	}
	for _, service := range services {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			ip, err := netip.ParseAddr(ingress.IP)
			if err == nil && service.Spec.Type == v1.ServiceTypeLoadBalancer && s.given[ip] == "" {
				s.given[ip] = string(service.UID)
			}
		}
	}
	for _, service := range services {
		if service.Spec.Type != v1.ServiceTypeLoadBalancer || service.DeletionTimestamp != nil {
			continue
		}
		var have, want []netip.Addr
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(ingress.IP); err == nil {
				have = append(have, ip)
			}
		}
		for _, family := range service.Spec.IPFamilies {
			ip, err := s.addressFor(service, have, family == v1.IPv6Protocol)
			if err != nil {
				klog.V(2).InfoS("no load balancer address", "service", klog.KObj(service), "err", err)
				continue
			}
			s.given[ip] = string(service.UID)
			want = append(want, ip)
		}
		for ip, owner := range s.given {
			if owner == string(service.UID) && !slices.Contains(want, ip) {
				delete(s.given, ip)
			}
		}
		if slices.Equal(have, want) {
			continue
		}
		changed := service.DeepCopy()
		changed.Status.LoadBalancer.Ingress = nil
		for _, ip := range want {
			changed.Status.LoadBalancer.Ingress = append(changed.Status.LoadBalancer.Ingress, v1.LoadBalancerIngress{IP: ip.String()})
		}
		// The update makes the informer call us again.
		if _, err := s.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
			klog.V(2).InfoS("load balancer address", "service", klog.KObj(service), "err", err)
		}
	}
}

// addressFor returns the address of one IP family that a Service is to have.
func (s *serviceProxy) addressFor(service *v1.Service, have []netip.Addr, six bool) (netip.Addr, error) {
	pool, owner := loadBalancers(six), string(service.UID)
	if asked := service.Spec.LoadBalancerIP; asked != "" {
		ip, err := netip.ParseAddr(asked)
		if err != nil || ip.Is6() == six {
			if err == nil && (!pool.Contains(ip) || s.given[ip] != "" && s.given[ip] != owner) {
				err = fmt.Errorf("%s is not in %s, or another Service has it", asked, pool)
			}
			return ip, err
		}
	}
	for _, ip := range have {
		if ip.Is6() == six && s.given[ip] == owner {
			return ip, nil
		}
	}
	for ip, whose := range s.given {
		if ip.Is6() == six && whose == owner {
			return ip, nil
		}
	}
	for ip := pool.Addr().Next(); pool.Contains(ip.Next()); ip = ip.Next() {
		if s.given[ip] == "" {
			return ip, nil
		}
	}
	return netip.Addr{}, errors.New("no free address in " + pool.String())
}

// forwarder serves one frontend.
type forwarder struct {
	listener net.Listener
	packets  *net.UDPConn

	mu       sync.Mutex
	to       target
	sessions map[netip.AddrPort]*net.UDPConn // of UDP clients
	pairs    map[*pair]bool                  // of TCP connections
	gate     gate
	refusing bool
}

func newForwarder(f frontend) (*forwarder, error) {
	forward := &forwarder{sessions: map[netip.AddrPort]*net.UDPConn{}, pairs: map[*pair]bool{}}
	var err error
	switch f.protocol {
	case v1.ProtocolTCP:
		if forward.listener, err = net.Listen("tcp", f.address.String()); err == nil {
			go forward.acceptAll()
		}
	case v1.ProtocolUDP:
		if forward.packets, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(f.address)); err == nil {
			go forward.receiveAll()
		}
	default:
		err = fmt.Errorf("protocol %s is not supported", f.protocol)
	}
	return forward, err
}

func (f *forwarder) setTarget(to target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
}

func (f *forwarder) target() target {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.to
}

// pick returns the backends in a random order.
func (f *forwarder) pick() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	backends := slices.Clone(f.to.backends)
	rand.Shuffle(len(backends), func(i, j int) { backends[i], backends[j] = backends[j], backends[i] })
	return backends
}

func (f *forwarder) close() {
	if f.listener != nil {
		f.listener.Close()
	}
	if f.packets != nil {
		f.packets.Close()
	}
}

func (f *forwarder) acceptAll() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.forwardTCP(client.(*net.TCPConn))
	}
}

// forwardTCP copies both directions.  A connection that cannot be forwarded is
// reset, which is what a Service without endpoints looks like.
func (f *forwarder) forwardTCP(client *net.TCPConn) {
	defer client.Close()
	for _, backend := range f.pick() {
		connection, err := net.DialTimeout("tcp", backend, 2*time.Second)
		if err != nil {
			continue
		}
		both := &pair{client: client, server: connection.(*net.TCPConn)}
		defer both.server.Close()
		if !f.add(both) {
			break
		}
		defer f.forget(both)
		done := make(chan struct{}, 2)
		go f.transfer(both.server, client, done)
		go f.transfer(client, both.server, done)
		<-done
		<-done
		return
	}
	client.SetLinger(0)
}

// transfer copies one direction until it ends; a reset is passed on as a reset.
func (f *forwarder) transfer(to, from *net.TCPConn, done chan<- struct{}) {
	buffer := make([]byte, 32<<10)
	var err error
	for err == nil {
		var n int
		n, err = from.Read(buffer)
		f.gate.pass()
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
	}
	if err == io.EOF {
		to.CloseWrite()
	} else {
		to.SetLinger(0)
		to.Close()
	}
	done <- struct{}{}
}

func (f *forwarder) receiveAll() {
	buffer := make([]byte, 65536)
	for {
		n, client, err := f.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if session := f.session(client); session != nil {
			session.SetReadDeadline(time.Now().Add(udpSessionLife))
			session.Write(buffer[:n])
		}
	}
}

// session returns the socket that stands for a client at its backend.
func (f *forwarder) session(client netip.AddrPort) *net.UDPConn {
	f.mu.Lock()
	session := f.sessions[client]
	f.mu.Unlock()
	if session != nil {
		return session
	}
	backends := f.pick()
	if len(backends) == 0 {
		return nil
	}
	connection, err := net.Dial("udp", backends[0])
	if err != nil {
		return nil
	}
	session = connection.(*net.UDPConn)
	f.mu.Lock()
	f.sessions[client] = session
	f.mu.Unlock()
	go func() {
		defer session.Close()
		buffer := make([]byte, 65536)
		for {
			n, err := session.Read(buffer)
			if err != nil {
				break
			}
			f.packets.WriteToUDPAddrPort(buffer[:n], client)
		}
		f.mu.Lock()
		delete(f.sessions, client)
		f.mu.Unlock()
	}()
	return session
}
