// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

const (
	firstRestartDelay = 500 * time.Millisecond // a kubelet waits 10 s; tests should not
	longestDelay      = 30 * time.Second
	volumeRefresh     = 2 * time.Second // how soon a changed ConfigMap or Secret is seen in a Pod
)

// podWorker runs one Pod from its first container to its removal.
type podWorker struct {
	kubelet *kubelet
	pod     *v1.Pod // as it was when bound: its spec does not change
	net     *podNet

	ctx    context.Context // ends when the Pod is to stop
	cancel context.CancelFunc
	done   chan struct{}
	dirty  chan struct{} // the status is to be written

	writing   sync.Mutex // held while volumes are written
	emptyDirs []string   // those that were made, and of them
	inMemory  []string   // those that are mounts
	mu        sync.Mutex
	killAt    time.Time // when a stopped Pod's processes get SIGKILL
	started   metav1.Time
	states    map[string]*v1.ContainerStatus // of all containers, by name
	message   string                         // why the Pod cannot start yet
}

func newPodWorker(k *kubelet, pod *v1.Pod) *podWorker {
	w := &podWorker{
		kubelet: k, pod: pod.DeepCopy(), started: metav1.Now(),
		done: make(chan struct{}), dirty: make(chan struct{}, 1),
		states: map[string]*v1.ContainerStatus{},
	}
	w.ctx, w.cancel = context.WithCancel(k.ctx)
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		w.states[c.Name] = &v1.ContainerStatus{
			Name: c.Name, Image: c.Image,
			State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "PodInitializing"}},
		}
	}
	return w
}

// stop ends the Pod; its processes get SIGKILL when the grace period is over.  A
// second call can make the period shorter.
func (w *podWorker) stop(grace time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := time.Now().Add(grace); w.killAt.IsZero() || at.Before(w.killAt) {
		w.killAt = at
	}
	w.cancel()
}

// timeToKill tells whether the grace period is over: the Pod's, or that of a
// container which began to end at a time, in a Pod that lives on.
func (w *podWorker) timeToKill(since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.killAt.IsZero() {
		grace := int64(v1.DefaultTerminationGracePeriodSeconds)
		if given := w.pod.Spec.TerminationGracePeriodSeconds; given != nil {
			grace = *given
		}
		return time.Since(since) > time.Duration(grace)*time.Second
	}
	return !time.Now().Before(w.killAt)
}

func (w *podWorker) run() {
	defer close(w.done)
	var publisher sync.WaitGroup
	published := make(chan struct{})
	publisher.Go(func() { w.publishUntil(published) })

	if w.prepare() {
		w.runContainers()
	}
	if w.ctx.Err() == nil {
		// All containers have ended for good.  The Pod keeps its place (and its
		// final status) until it is deleted.
		<-w.ctx.Done()
	}
	close(published)
	publisher.Wait()
	if w.net != nil {
		w.kubelet.networks.remove(w.net)
	}
	w.forgetMemory()
	w.kubelet.removePod(w.pod)
	w.kubelet.forget(w.pod.UID)
}

// prepare gives the Pod its network and volumes.  Volumes may refer to objects
// which do not exist yet, so this is tried until the Pod is stopped.
func (w *podWorker) prepare() bool {
	if err := os.MkdirAll(w.dir(), 0o755); err != nil {
		klog.ErrorS(err, "Pod folder", "pod", klog.KObj(w.pod))
		return false
	}
	for {
		err := w.connect()
		if err == nil {
			err = w.writeVolumes()
		}
		w.mu.Lock()
		w.message = ""
		if err != nil {
			w.message = err.Error()
		}
		w.mu.Unlock()
		w.changed()
		if err == nil {
			go w.refreshVolumes()
			return true
		}
		select {
		case <-w.ctx.Done():
			return false
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (w *podWorker) connect() error {
	if w.net != nil {
		return nil
	}
	var sysctls []v1.Sysctl
	if context := w.pod.Spec.SecurityContext; context != nil {
		sysctls = context.Sysctls
	}
	network, err := w.kubelet.networks.newPodNet(sysctls)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.net = network
	w.pod.Status.PodIP = network.ip.String()
	w.pod.Status.PodIPs = []v1.PodIP{{IP: network.ip.String()}}
	if six := network.ip6(); six.IsValid() {
		w.pod.Status.PodIPs = append(w.pod.Status.PodIPs, v1.PodIP{IP: six.String()})
	}
	w.pod.Status.HostIP = nodeIP
	return nil
}

// runContainers runs the init containers one after another, then the others
// together, and returns when all have ended.
func (w *podWorker) runContainers() {
	var running sync.WaitGroup
	defer running.Wait()
	for i := range w.pod.Spec.InitContainers {
		c := &w.pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways { // a sidecar
			running.Go(func() { w.runContainer(c, v1.RestartPolicyAlways) })
			continue
		}
		policy := w.pod.Spec.RestartPolicy
		if policy == v1.RestartPolicyAlways {
			policy = v1.RestartPolicyOnFailure
		}
		if !w.runContainer(c, policy) {
			return
		}
	}
	for i := range w.pod.Spec.Containers {
		c := &w.pod.Spec.Containers[i]
		running.Go(func() { w.runContainer(c, w.pod.Spec.RestartPolicy) })
	}
}

// runContainer runs a container again and again as the policy wants it, and
// returns true if it has ended well.
func (w *podWorker) runContainer(c *v1.Container, policy v1.RestartPolicy) bool {
	delay := firstRestartDelay
	for {
		began := time.Now()
		code, err := w.runOnce(c)
		if w.ctx.Err() != nil {
			return false
		}
		if err != nil {
			// It was not started at all: a missing image, Secret or ConfigMap.
			w.setState(c.Name, func(s *v1.ContainerStatus) {
				reason := "CreateContainerConfigError"
				if _, missing := w.kubelet.options.images.find(c.Image); missing != nil {
					reason = "ErrImagePull"
				}
				s.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason, Message: err.Error()}}
			})
		} else {
			if policy == v1.RestartPolicyNever || policy == v1.RestartPolicyOnFailure && code == 0 {
				return code == 0
			}
			w.setState(c.Name, func(s *v1.ContainerStatus) {
				s.LastTerminationState, s.RestartCount = s.State, s.RestartCount+1
				s.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{
					Reason: "CrashLoopBackOff", Message: fmt.Sprintf("started again in %s", delay),
				}}
			})
		}
		if time.Since(began) > time.Minute {
			delay = firstRestartDelay
		}
		select {
		case <-w.ctx.Done():
			return false
		case <-time.After(delay):
		}
		delay = min(2*delay, longestDelay)
	}
}

func (w *podWorker) setState(container string, change func(*v1.ContainerStatus)) {
	w.mu.Lock()
	change(w.states[container])
	w.mu.Unlock()
	w.changed()
}

// changed asks for the status to be written.
func (w *podWorker) changed() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *podWorker) publishUntil(end <-chan struct{}) {
	for {
		select {
		case <-w.dirty:
			w.publish()
		case <-end:
			return
		}
	}
}

// publish writes the Pod's status.  The others' conditions in it are kept.
func (w *podWorker) publish() {
	pods := w.kubelet.client.CoreV1().Pods(w.pod.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(w.kubelet.ctx, w.pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.UID != w.pod.UID {
			return nil
		}
		w.fillStatus(&pod.Status, pod.Generation)
		_, err = pods.UpdateStatus(w.kubelet.ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		klog.ErrorS(err, "cannot write the status", "pod", klog.KObj(w.pod))
	}
}

func (w *podWorker) fillStatus(status *v1.PodStatus, generation int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	status.ObservedGeneration = generation
	status.StartTime = &w.started
	status.HostIP, status.PodIP, status.PodIPs = w.pod.Status.HostIP, w.pod.Status.PodIP, w.pod.Status.PodIPs
	if status.HostIP != "" {
		status.HostIPs = []v1.HostIP{{IP: status.HostIP}}
		if dualStack() {
			status.HostIPs = append(status.HostIPs, v1.HostIP{IP: nodeIP6})
		}
	}
	status.Message = w.message

	list := func(containers []v1.Container) (states []v1.ContainerStatus) {
		for _, c := range containers {
			states = append(states, *w.states[c.Name].DeepCopy())
		}
		return states
	}
	status.InitContainerStatuses, status.ContainerStatuses = list(w.pod.Spec.InitContainers), list(w.pod.Spec.Containers)

	initialized, ready := true, true
	for i, s := range status.InitContainerStatuses {
		sidecar := w.pod.Spec.InitContainers[i].RestartPolicy != nil
		initialized = initialized && (sidecar && s.State.Running != nil || s.State.Terminated != nil && s.State.Terminated.ExitCode == 0)
	}
	running, waiting, failed := false, false, false
	for _, s := range status.ContainerStatuses {
		ready = ready && s.Ready
		running = running || s.State.Running != nil || s.RestartCount > 0
		waiting = waiting || s.State.Waiting != nil
		failed = failed || s.State.Terminated != nil && s.State.Terminated.ExitCode != 0
	}
	switch {
	case running:
		status.Phase = v1.PodRunning
	case waiting:
		status.Phase = v1.PodPending
	case failed:
		status.Phase = v1.PodFailed
	default:
		status.Phase = v1.PodSucceeded
	}
	// A Pod that is to stop stays ready as long as its probes say so: it may well
	// serve while it drains, and endpoints say "serving, terminating".
	setCondition(status, v1.PodReadyToStartContainers, w.net != nil)
	setCondition(status, v1.PodInitialized, initialized)
	setCondition(status, v1.ContainersReady, ready)
	setCondition(status, v1.PodReady, ready)
}

func setCondition(status *v1.PodStatus, kind v1.PodConditionType, value bool) {
	want := v1.PodCondition{
		Type: kind, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now(), ObservedGeneration: status.ObservedGeneration,
	}
	if value {
		want.Status = v1.ConditionTrue
	}
	for i, have := range status.Conditions {
		if have.Type == kind {
			if have.Status == want.Status {
				want.LastTransitionTime = have.LastTransitionTime
			}
			status.Conditions[i] = want
			return
		}
	}
	status.Conditions = append(status.Conditions, want)
}

func (w *podWorker) dir() string { return w.kubelet.podDir(w.pod) }

func (w *podWorker) logFile(container string) string {
	return filepath.Join(w.dir(), container+".log")
}
