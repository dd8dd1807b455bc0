// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const etcdURL = "http://127.0.0.1:2379"

// controllers are those which make Pods and Endpoints out of what users write.
// There is no node lifecycle controller: the one node never goes away.
var controllers = []string{
	"namespace-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller",
	"deployment-controller",
	"replicaset-controller",
	"daemonset-controller",
	"statefulset-controller",
	"job-controller",
	"endpoints-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"validatingadmissionpolicy-status-controller",
}

// etcdMain runs etcd until it is told to stop.
func etcdMain(args []string) error {
	address, err := url.Parse(etcdURL)
	if err != nil {
		return err
	}
	peer := *address
	peer.Host = "127.0.0.1:2380"
	config := embed.NewConfig()
	config.Dir = args[0]
	config.LogLevel = "warn"
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*address}, []url.URL{*address}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true // nobody will miss these data after a power cut
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-stop:
		server.Close()
		return nil
	case err := <-server.Err():
		return err
	}
}

// kubernetesMain is the main function of one Kubernetes component.
func kubernetesMain(name string, args []string) int {
	var command *cobra.Command
	switch name {
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		command = controllermanager.NewControllerManagerCommand()
	case "kubectl-main":
		os.Args = append([]string{"kubectl"}, args...)
		command = kubectl.NewDefaultKubectlCommand()
		if err := cli.RunNoErrOutput(command); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	command.SetArgs(args)
	return cli.Run(command)
}

// component is one process of the control plane.
type component struct {
	args    []string
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	wanted  bool          // it has not been stopped by a test
}

// controlPlane is etcd, the API server and the controller manager.
type controlPlane struct {
	options *options
	client  kubernetes.Interface
	failed  chan error // gets an error when one of them ends by itself

	mu         sync.Mutex
	components map[string]*component
}

// start starts a component, for the first time or again.
func (c *controlPlane) start(name string, args ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	log, err := os.OpenFile(c.options.logFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	process := exec.Command("/proc/self/exe", append([]string{name}, args...)...)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return err
	}
	this := &component{args: args, process: process, ended: make(chan struct{}), wanted: true}
	c.components[name] = this
	go func() {
		err := process.Wait()
		log.Close()
		close(this.ended)
		c.mu.Lock()
		defer c.mu.Unlock()
		if this.wanted {
			c.failed <- fmt.Errorf("%s ended (%v), see %s", name, err, c.options.logFile(name))
		}
	}()
	return nil
}

// stop kills a component, as a crash would, and returns when it has gone.
func (c *controlPlane) stop(name string) error {
	c.mu.Lock()
	this := c.components[name]
	if this == nil || !this.wanted {
		c.mu.Unlock()
		return fmt.Errorf("%q does not run", name)
	}
	this.wanted = false
	this.process.Process.Kill()
	c.mu.Unlock()
	<-this.ended
	return nil
}

// startAgain starts what stop has stopped, and returns when it can be used.
func (c *controlPlane) startAgain(ctx context.Context, name string) error {
	c.mu.Lock()
	this := c.components[name]
	c.mu.Unlock()
	if this == nil || this.wanted {
		return fmt.Errorf("%q was not stopped", name)
	}
	if err := c.start(name, this.args...); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// pause suspends a component, or lets it go on.
func (c *controlPlane) pause(name string, suspend bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	this := c.components[name]
	if this == nil || !this.wanted {
		return fmt.Errorf("%q does not run", name)
	}
	if suspend {
		return this.process.Process.Signal(syscall.SIGSTOP)
	}
	return this.process.Process.Signal(syscall.SIGCONT)
}

// awaitReady waits until the API server says that it is.
func (c *controlPlane) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-c.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server does not get ready: %w", err)
		}
	}
}

// auditPolicy has every request of a client logged that is not the
// administrator's looking: a Pod's requests, refused ones too, and what the
// administrator writes.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  users: [admin]
  verbs: [get, list, watch]
- level: None
  users: ["system:apiserver", "system:anonymous"]
- level: Metadata
`

// startControlPlane starts etcd, the API server and the controller manager as
// child processes, and waits until the API server is ready.
func startControlPlane(ctx context.Context, o *options, p *pki, client kubernetes.Interface) (*controlPlane, error) {
	c := &controlPlane{options: o, client: client, failed: make(chan error, 3), components: map[string]*component{}}
	level := fmt.Sprintf("--v=%d", o.level)
	policy := p.path("audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o644); err != nil {
		return nil, err
	}
	if err := c.start("etcd", filepath.Join(o.dir, "etcd")); err != nil {
		return nil, err
	}
	services := serviceNetwork
	if dualStack() {
		services += "," + serviceNetwork6
	}
	if err := c.start("kube-apiserver", level,
		"--etcd-servers="+etcdURL,
		"--advertise-address="+nodeIP,
		"--secure-port=6443",
		"--service-cluster-ip-range="+services,
		"--tls-cert-file="+p.path("server.crt"),
		"--tls-private-key-file="+p.path("server.key"),
		"--client-ca-file="+p.path("ca.crt"),
		"--service-account-key-file="+p.path("tokens.key"),
		"--service-account-signing-key-file="+p.path("tokens.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--authorization-mode=RBAC",
		"--kubelet-preferred-address-types=InternalIP",
		"--allow-privileged=true",
		"--enable-priority-and-fairness=false",
		"--profiling=false",
		"--audit-policy-file="+policy,
		"--audit-log-path="+o.logFile("audit"),
		"--audit-log-mode=blocking",
	); err != nil {
		return nil, err
	}
	if err := c.awaitReady(ctx); err != nil {
		return nil, err
	}
	return c, c.start("kube-controller-manager", level,
		"--kubeconfig="+p.path("kubeconfig"),
		"--controllers="+strings.Join(controllers, ","),
		"--service-account-private-key-file="+p.path("tokens.key"),
		"--root-ca-file="+p.path("ca.crt"),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		// Thousands of Services have their EndpointSlices within seconds, not minutes.
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
	)
}
