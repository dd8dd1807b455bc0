// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const kubeletPort = 10250

// kubelet runs the Pods which are bound to the node, one worker for each.
type kubelet struct {
	ctx      context.Context
	options  *options
	client   kubernetes.Interface
	networks podNetworks

	mu      sync.Mutex
	workers map[types.UID]*podWorker
}

func startKubelet(ctx context.Context, o *options, client kubernetes.Interface, factory informers.SharedInformerFactory) *kubelet {
	k := &kubelet{ctx: context.WithoutCancel(ctx), options: o, client: client, workers: map[types.UID]*podWorker{}}
	factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.sync(object) },
		UpdateFunc: func(_, object any) { k.sync(object) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if pod, ok := object.(*v1.Pod); ok {
				if worker := k.worker(pod.UID); worker != nil {
					worker.stop(0) // deleted by force
				}
			}
		},
	})
	return k
}

func (k *kubelet) sync(object any) {
	pod, ok := object.(*v1.Pod)
	if !ok || pod.Spec.NodeName != nodeName {
		return
	}
	k.mu.Lock()
	worker := k.workers[pod.UID]
	if worker == nil && pod.DeletionTimestamp == nil {
		worker = newPodWorker(k, pod)
		k.workers[pod.UID] = worker
		go worker.run()
	}
	k.mu.Unlock()
	if pod.DeletionTimestamp == nil {
		return
	}
	if worker == nil { // deleted before it was started
		go k.removePod(pod)
		return
	}
	grace := int64(v1.DefaultTerminationGracePeriodSeconds)
	if pod.DeletionGracePeriodSeconds != nil {
		grace = *pod.DeletionGracePeriodSeconds
	}
	worker.stop(time.Duration(grace) * time.Second)
}

func (k *kubelet) worker(uid types.UID) *podWorker {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.workers[uid]
}

// forget is called by a worker whose Pod has gone.
func (k *kubelet) forget(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.workers, uid)
}

// removePod takes a stopped Pod off the API server.
func (k *kubelet) removePod(pod *v1.Pod) {
	zero := int64(0)
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(k.ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &zero, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil {
		klog.V(2).InfoS("removing Pod", "pod", klog.KObj(pod), "err", err)
	}
}

// stopAll ends every Pod's processes at the end of the cluster.
func (k *kubelet) stopAll() {
	k.mu.Lock()
	var workers []*podWorker
	for _, worker := range k.workers {
		workers = append(workers, worker)
	}
	k.mu.Unlock()
	for _, worker := range workers {
		worker.stop(5 * time.Second)
	}
	for _, worker := range workers {
		<-worker.done
	}
}

// serveLogs answers what the API server asks a kubelet for "kubectl logs".
func (k *kubelet) serveLogs(certificate, key string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		file := k.findLog(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
		if file == "" {
			http.Error(w, "no such container", http.StatusNotFound)
			return
		}
		if err := writeLog(w, r, file); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := &http.Server{Addr: nodeIP + ":" + strconv.Itoa(kubeletPort), Handler: mux}
	go func() { klog.ErrorS(server.ListenAndServeTLS(certificate, key), "log endpoint ended") }()
}

func (k *kubelet) findLog(namespace, pod, container string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, worker := range k.workers {
		if worker.pod.Namespace == namespace && worker.pod.Name == pod {
			return worker.logFile(container)
		}
	}
	return ""
}

// writeLog copies a log file, whose lines begin with their time, as far as the
// parameters of the request ask for it.
func writeLog(w http.ResponseWriter, r *http.Request, file string) error {
	query := r.URL.Query()
	var since time.Time
	if s := query.Get("sinceTime"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			return err
		}
	}
	if s, err := strconv.Atoi(query.Get("sinceSeconds")); err == nil {
		since = time.Now().Add(-time.Duration(s) * time.Second)
	}
	tail, err := strconv.Atoi(query.Get("tailLines"))
	if err != nil {
		tail = -1
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()

	reader := bufio.NewReader(f)
	write := func(line string) {
		stamp, text, _ := strings.Cut(line, " ")
		if t, err := time.Parse(time.RFC3339Nano, stamp); err == nil && t.Before(since) {
			return
		}
		if query.Get("timestamps") == "true" {
			text = line
		}
		fmt.Fprintln(w, text)
	}
	var lines []string
	partial := ""
	next := func() bool {
		line, err := reader.ReadString('\n')
		partial += line
		if err != nil {
			return false
		}
		lines = append(lines, strings.TrimSuffix(partial, "\n"))
		partial = ""
		return true
	}
	for next() {
	}
	if tail >= 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	for {
		for _, line := range lines {
			write(line)
		}
		lines = nil
		if query.Get("follow") != "true" {
			return nil
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		for next() {
		}
	}
}

// podDir is where a Pod's logs and volumes are.  It stays after the Pod has
// gone, so that the logs can be read.
func (k *kubelet) podDir(pod *v1.Pod) string {
	return filepath.Join(k.options.dir, "pods", pod.Namespace, pod.Name+"_"+string(pod.UID))
}
