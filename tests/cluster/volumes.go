// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/fieldpath"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// tokens keeps service account tokens until they need to be renewed.
var tokens sync.Map // of tokenKey to *authenticationv1.TokenRequestStatus

type tokenKey struct {
	pod, volume, audience string
}

// renewTokens gives every Pod new tokens; they are in its volumes afterwards.
func (k *kubelet) renewTokens() error {
	tokens.Clear()
	k.mu.Lock()
	workers := slices.Collect(maps.Values(k.workers))
	k.mu.Unlock()
	for _, worker := range workers {
		if err := worker.writeVolumes(); err != nil {
			return fmt.Errorf("%s: %w", klog.KObj(worker.pod), err)
		}
	}
	return nil
}

// volumePath returns where a volume is, and whether it is read-only by nature.
func (w *podWorker) volumePath(name string) (path string, readOnly bool, err error) {
	for _, v := range w.pod.Spec.Volumes {
		if v.Name != name {
			continue
		}
		if v.HostPath != nil {
			return v.HostPath.Path, false, nil
		}
		return filepath.Join(w.dir(), "volumes", name), v.EmptyDir == nil, nil
	}
	return "", false, fmt.Errorf("no volume %q", name)
}

// writeVolumes writes all volumes.  A file which changes is replaced as a
// kubelet does it, by moving a link to a new folder, so that programs which
// watch their configuration see the same events as in production.
func (w *podWorker) writeVolumes() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	for _, v := range w.pod.Spec.Volumes {
		dir := filepath.Join(w.dir(), "volumes", v.Name)
		if v.HostPath != nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if v.EmptyDir != nil {
			if err := w.prepareEmptyDir(v, dir); err != nil {
				return fmt.Errorf("volume %q: %w", v.Name, err)
			}
			continue
		}
		files, err := w.volumeFiles(v)
		if err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
		writer, err := volumeutil.NewAtomicWriter(dir, "pod "+w.pod.Name)
		if err != nil {
			return err
		}
		permit := func(path string) error {
			if group, ok := w.fsGroup(); ok {
				return giveToGroup(filepath.Join(dir, path), group, false)
			}
			return nil
		}
		if err := writer.Write(files, permit); err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
	}
	return nil
}

// fsGroup is the group that volumes belong to, if the Pod names one.
func (w *podWorker) fsGroup() (int, bool) {
	if context := w.pod.Spec.SecurityContext; context != nil && context.FSGroup != nil {
		return int(*context.FSGroup), true
	}
	return 0, false
}

// prepareEmptyDir makes, once, an empty folder that everybody can write to, in memory if that is asked for.
func (w *podWorker) prepareEmptyDir(v v1.Volume, dir string) error {
	if slices.Contains(w.emptyDirs, dir) {
		return nil
	}
	if v.EmptyDir.Medium == v1.StorageMediumMemory {
		options := "mode=0777"
		if limit := v.EmptyDir.SizeLimit; limit != nil {
			options += fmt.Sprintf(",size=%d", limit.Value())
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
			return fmt.Errorf("in memory: %w", err)
		}
		w.inMemory = append(w.inMemory, dir)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask says
		return err
	}
	if group, ok := w.fsGroup(); ok {
		if err := giveToGroup(dir, group, true); err != nil {
			return err
		}
	}
	w.emptyDirs = append(w.emptyDirs, dir)
	return nil
}

// forgetMemory gives back the memory of volumes when the Pod has ended.
func (w *podWorker) forgetMemory() {
	w.writing.Lock()
	defer w.writing.Unlock()
	for _, dir := range w.inMemory {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			klog.ErrorS(err, "volume in memory", "pod", klog.KObj(w.pod))
		}
	}
}

func (w *podWorker) refreshVolumes() {
	watched := slices.ContainsFunc(w.pod.Spec.Volumes, func(v v1.Volume) bool {
		return v.ConfigMap != nil || v.Secret != nil || v.Projected != nil
	})
	for watched {
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(volumeRefresh):
		}
		if err := w.writeVolumes(); err != nil && w.ctx.Err() == nil {
			klog.V(2).InfoS("volumes not refreshed", "pod", klog.KObj(w.pod), "err", err)
		}
	}
}

type files = map[string]volumeutil.FileProjection

func (w *podWorker) volumeFiles(v v1.Volume) (files, error) {
	switch {
	case v.ConfigMap != nil:
		values, err := w.configMap(v.ConfigMap.Name, v.ConfigMap.Optional)
		if err != nil {
			return nil, err
		}
		return selectKeys(values, v.ConfigMap.Items, v.ConfigMap.DefaultMode)
	case v.Secret != nil:
		values, err := w.secret(v.Secret.SecretName, v.Secret.Optional)
		if err != nil {
			return nil, err
		}
		return selectKeys(values, v.Secret.Items, v.Secret.DefaultMode)
	case v.DownwardAPI != nil:
		return w.downwardFiles(v.DownwardAPI.Items)
	case v.Projected != nil:
		all := files{}
		for _, source := range v.Projected.Sources {
			some, err := w.projectedFiles(v, source)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, some)
		}
		return all, nil
	}
	return nil, fmt.Errorf("this kind of volume is not supported")
}

func (w *podWorker) projectedFiles(v v1.Volume, source v1.VolumeProjection) (files, error) {
	mode := v.Projected.DefaultMode
	switch {
	case source.ConfigMap != nil:
		values, err := w.configMap(source.ConfigMap.Name, source.ConfigMap.Optional)
		if err != nil {
			return nil, err
		}
		return selectKeys(values, source.ConfigMap.Items, mode)
	case source.Secret != nil:
		values, err := w.secret(source.Secret.Name, source.Secret.Optional)
		if err != nil {
			return nil, err
		}
		return selectKeys(values, source.Secret.Items, mode)
	case source.DownwardAPI != nil:
		return w.downwardFiles(source.DownwardAPI.Items)
	case source.ServiceAccountToken != nil:
		token, err := w.token(v.Name, source.ServiceAccountToken)
		return files{source.ServiceAccountToken.Path: {Data: []byte(token), Mode: 0o644}}, err
	}
	return nil, fmt.Errorf("this kind of projection is not supported")
}

// selectKeys makes files of the listed keys, or of all when none is listed.
func selectKeys(values map[string]string, items []v1.KeyToPath, defaultMode *int32) (files, error) {
	mode := int32(0o644)
	if defaultMode != nil {
		mode = *defaultMode
	}
	out := files{}
	if len(items) == 0 {
		for key, value := range values {
			out[key] = volumeutil.FileProjection{Data: []byte(value), Mode: mode}
		}
	}
	for _, item := range items {
		value, ok := values[item.Key]
		if !ok && values != nil {
			return nil, fmt.Errorf("no key %q", item.Key)
		}
		file := volumeutil.FileProjection{Data: []byte(value), Mode: mode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		out[item.Path] = file
	}
	return out, nil
}

func (w *podWorker) downwardFiles(items []v1.DownwardAPIVolumeFile) (files, error) {
	out := files{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("%s: only fieldRef is supported", item.Path)
		}
		value, err := w.field(item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		out[item.Path] = volumeutil.FileProjection{Data: []byte(value), Mode: 0o644}
	}
	return out, nil
}

// field returns a field of the Pod for the downward API.
func (w *podWorker) field(path string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch path {
	case "status.podIP":
		return w.pod.Status.PodIP, nil
	case "status.podIPs":
		var all []string
		for _, ip := range w.pod.Status.PodIPs {
			all = append(all, ip.IP)
		}
		return strings.Join(all, ","), nil
	case "status.hostIP", "status.hostIPs":
		return nodeIP, nil
	case "spec.nodeName":
		return nodeName, nil
	case "spec.serviceAccountName":
		return w.pod.Spec.ServiceAccountName, nil
	}
	return fieldpath.ExtractFieldPathAsString(w.pod, path)
}

// token returns a token bound to the Pod, renewed after four fifths of its life.
func (w *podWorker) token(volume string, p *v1.ServiceAccountTokenProjection) (string, error) {
	key := tokenKey{string(w.pod.UID), volume, p.Audience}
	life := int64(3600)
	if p.ExpirationSeconds != nil {
		life = *p.ExpirationSeconds
	}
	if kept, ok := tokens.Load(key); ok {
		status := kept.(*authenticationv1.TokenRequestStatus)
		if time.Until(status.ExpirationTimestamp.Time) > time.Duration(life)*time.Second/5 {
			return status.Token, nil
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &life,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: w.pod.Name, UID: w.pod.UID},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	made, err := w.kubelet.client.CoreV1().ServiceAccounts(w.pod.Namespace).
		CreateToken(context.Background(), w.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	tokens.Store(key, &made.Status)
	return made.Status.Token, nil
}
