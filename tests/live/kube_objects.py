# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects as a cluster has them: what a deployment's controller and a kubelet write
(Kubernetes API reference, v1). The server adds uid, resourceVersion and managedFields."""

NODE = "node-1"


def container_status(name, image, cid, runtime="containerd", running=True):
    return {"name": name, "image": image, "imageID": f"docker.io/library/{image}@sha256:" + "ab" * 32,
            "containerID": f"{runtime}://{cid}", "ready": running, "restartCount": 0,
            "started": running, "lastState": {},
            "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}} if running else
                     {"terminated": {"exitCode": 0, "reason": "Completed",
                                     "startedAt": "2026-01-02T03:04:05Z",
                                     "finishedAt": "2026-01-02T03:04:06Z",
                                     "containerID": f"{runtime}://{cid}"}}}


def pod(ns, name, ip="10.1.0.7", node=NODE, containers=None, init=None, labels=None,
        annotations=None, phase="Running", runtime="containerd"):
    """containers, init: {name: (container id, {port name: number})}."""
    containers = containers or {"app": ("c" * 64, {"http": 8080})}
    labels = {"app": "web", "app.kubernetes.io/name": "web", "pod-template-hash": "6d4f8", **(labels or {})}

    def spec(name, ports):
        return {"name": name, "image": f"{name}:1.2", "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/run", "--flag=\u00e4\u2028\"x\""],
                "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1",
                                                                        "fieldPath": "metadata.name"}}}],
                "ports": [{"name": n, "containerPort": p, "protocol": "TCP"}
                          for n, p in ports.items()],
                "resources": {"limits": {"cpu": "1", "memory": "128Mi"}, "requests": {"cpu": "1", "memory": "128Mi"}},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"}

    def statuses(group, running):
        return [container_status(n, f"{n}:1.2", cid, runtime, running)
                for n, (cid, _) in (group or {}).items()]

    running = phase == "Running"
    o = {"apiVersion": "v1", "kind": "Pod",
         "metadata": {"name": name, "namespace": ns, "labels": labels,
                      "annotations": {"kubernetes.io/config.seen": "2026-01-02T03:04:05Z",
                                      "pyroscope.io/scrape": "true", **(annotations or {})},
                      "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                                           "name": "web-6d4f8", "uid": "0b9b1d3e-5f53-4b9c-8a3e-2c8d1f1b7c11",
                                           "controller": True, "blockOwnerDeletion": True}]},
         "spec": {"nodeName": node, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
                  "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
                  "serviceAccountName": "default", "enableServiceLinks": True,
                  "securityContext": {}, "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
                  "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                                   "effect": "NoExecute", "tolerationSeconds": 300}],
                  "containers": [spec(n, p) for n, (_, p) in containers.items()]},
         "status": {"phase": phase, "hostIP": "192.168.7.1", "qosClass": "Guaranteed",
                    "startTime": "2026-01-02T03:04:05Z",
                    "conditions": [{"type": t, "status": "True" if running else "False",
                                    "lastProbeTime": None, "lastTransitionTime": "2026-01-02T03:04:05Z"}
                                   for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
                    "containerStatuses": statuses(containers, running)}}
    if init:
        o["spec"]["initContainers"] = [spec(n, p) for n, (_, p) in init.items()]
        o["status"]["initContainerStatuses"] = statuses(init, False)
    if ip:
        o["status"] |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    return o


def node(name=NODE, ip="192.168.7.1", labels=None):
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": "z1", **(labels or {})},
                         "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
            "spec": {"podCIDR": "10.1.0.0/24", "providerID": f"kind://docker/kind/{name}"},
            "status": {"addresses": [{"type": "InternalIP", "address": ip},
                                     {"type": "Hostname", "address": name}],
                       "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                       "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                                       "lastHeartbeatTime": "2026-01-02T03:04:05Z",
                                       "lastTransitionTime": "2026-01-02T03:04:05Z",
                                       "message": "kubelet is posting ready status"}]}}


def namespace(name, labels=None):
    return {"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": "a-team", **(labels or {})}}}


def service(ns, name, port=80, labels=None):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": ns, "labels": {"app": "web", **(labels or {})}},
            "spec": {"type": "ClusterIP", "selector": {"app": "web"},
                     "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": 8080}]}}


def endpoints(ns, name, pods):
    """pods: {name: ip}."""
    return {"apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": name, "namespace": ns, "labels": {"app": "web"}},
            "subsets": [{"addresses": [{"ip": ip, "nodeName": NODE,
                                        "targetRef": {"kind": "Pod", "namespace": ns, "name": p}}
                                       for p, ip in pods.items()],
                         "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}]}


def endpointslice(ns, name, service, pods):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": ns, "labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"addresses": [ip], "nodeName": NODE, "zone": "z1",
                           "conditions": {"ready": True, "serving": True, "terminating": False},
                           "targetRef": {"kind": "Pod", "namespace": ns, "name": p}}
                          for p, ip in pods.items()],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


def ingress(ns, name, host="shop.example.com"):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": ns},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.example.com"]}],
                     "rules": [{"host": host, "http": {"paths": [
                         {"path": "/cart", "pathType": "Prefix",
                          "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}}
