// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const nodeName = "node"

// nodeMain is process 1 of the cluster's namespaces.  It starts the control
// plane and is itself the node, the scheduler, the service proxy and the DNS
// server.
func nodeMain(args []string) error {
	// Other goroutines must not change the namespaces of the main thread, which
	// are what /proc/PID/ns shows to "cluster exec".
	runtime.LockOSThread()
	o, err := parseOptions("node", args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ready := os.NewFile(3, "ready") // closed without a byte: the start failed
	syscall.CloseOnExec(3)

	// From here on no mount is seen outside, and /proc shows our own processes.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := setUpNodeNetwork(); err != nil {
		return err
	}

	p, err := newPKI(filepath.Join(o.dir, "pki"))
	if err != nil {
		return err
	}
	if err := p.writeKubeconfig(p.path("kubeconfig")); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", p.path("kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1 // no limit on our own requests
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	plane, err := startControlPlane(ctx, o, p, client)
	if err != nil {
		return err
	}

	if err := registerNode(ctx, client); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	startScheduler(ctx, client, factory)
	proxy := startServiceProxy(ctx, client, factory)
	node := startKubelet(ctx, o, client, factory)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go proxy.run(ctx)
	if err := proxy.serveDNS(); err != nil {
		return err
	}
	node.serveLogs(p.path("server.crt"), p.path("server.key"))
	faults := &control{plane: plane, proxy: proxy, node: node}
	if err := faults.serve(ctx, o.controlSocket()); err != nil {
		return err
	}

	for _, path := range o.apply {
		if err := apply(ctx, p.path("kubeconfig"), path); err != nil {
			return err
		}
	}
	if err := p.writeKubeconfig(o.kubeconfig()); err != nil {
		return err
	}
	klog.Info("ready")
	ready.Write([]byte{1})
	ready.Close()

	select {
	case <-ctx.Done():
		node.stopAll()
		return nil // the kernel ends the rest with us
	case err := <-plane.failed:
		return err
	}
}

// registerNode creates the Node object that all Pods are bound to.
func registerNode(ctx context.Context, client kubernetes.Interface) error {
	capacity := v1.ResourceList{
		v1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		v1.ResourceMemory: resource.MustParse("16Gi"),
		v1.ResourcePods:   resource.MustParse("1000"),
	}
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: nodeName,
		Labels: map[string]string{
			v1.LabelHostname: nodeName, v1.LabelOSStable: runtime.GOOS, v1.LabelArchStable: runtime.GOARCH,
		},
	}}
	node, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	now := metav1.Now()
	node.Status = v1.NodeStatus{
		Capacity: capacity, Allocatable: capacity,
		Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: nodeIP}, {Type: v1.NodeHostName, Address: nodeName}},
		DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: kubeletPort}},
		Conditions: []v1.NodeCondition{{
			Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "Started", LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
	if dualStack() {
		node.Status.Addresses = append(node.Status.Addresses, v1.NodeAddress{Type: v1.NodeInternalIP, Address: nodeIP6})
	}
	if _, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// The API server taints new nodes as not ready; the controller that would
	// lift this does not run here.
	node, err = client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	node.Spec.Taints = nil
	_, err = client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
	return err
}

// startScheduler binds every new Pod to the node.
func startScheduler(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) {
	bind := func(object any) {
		pod, ok := object.(*v1.Pod)
		if !ok || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0 {
			return
		}
		binding := &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Target:     v1.ObjectReference{Kind: "Node", Name: nodeName},
		}
		if err := client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "cannot bind Pod", "pod", klog.KObj(pod))
		}
	}
	factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    bind,
		UpdateFunc: func(_, object any) { bind(object) },
	})
}

// apply applies a manifest file, or all those of a folder, on the server side
// (the definitions of the Gateway API are too large for client-side apply).
// Objects whose kind is defined by the same files need a second attempt.
func apply(ctx context.Context, kubeconfig, path string) error {
	var output []byte
	var err error
	for range 20 {
		kubectl := exec.CommandContext(ctx, "/proc/self/exe", "kubectl-main", "--kubeconfig", kubeconfig,
			"apply", "--server-side", "--force-conflicts", "--recursive", "-f", path)
		if output, err = kubectl.CombinedOutput(); err == nil {
			klog.InfoS("applied", "path", path)
			break
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w\n%s", path, err, output)
	}
	wait := exec.CommandContext(ctx, "/proc/self/exe", "kubectl-main", "--kubeconfig", kubeconfig,
		"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	if output, err = wait.CombinedOutput(); err != nil && !strings.Contains(string(output), "no matching resources") {
		return fmt.Errorf("custom resource definitions: %w\n%s", err, output)
	}
	return nil
}
