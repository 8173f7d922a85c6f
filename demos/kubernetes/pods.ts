/** What a pod is here: one container, for which a process of this machine stands. */
export interface PodOptions {
  readonly name: string;
  /** The container's main process: what `kubectl attach` attaches to. */
  readonly command: readonly string[];
  /** Whether the main process has a terminal. */
  readonly tty?: boolean;
  /** The ports that can be forwarded, and the port of 127.0.0.1 that stands for each. */
  readonly ports?: Readonly<Record<number, number>>;
  /** Where its processes run: relative paths of `kubectl cp` are below it. */
  readonly folder: string;
}

export const containerName = 'main';
const namespace = 'default';

/** The JSON that `kubectl` gets for a path, or undefined where there is nothing. */
export function documentAt(path: string, pods: ReadonlyMap<string, PodOptions>): object | undefined {
  const podsPath = `/api/v1/namespaces/${namespace}/pods`;
  switch (path) {
    case '/version':
      return { major: '1', minor: '32', gitVersion: 'v1.32.4' };
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: [] };
    case '/api/v1':
      return { kind: 'APIResourceList', groupVersion: 'v1', resources };
    case podsPath:
      return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [...pods.values()].map(document) };
  }
  if (!path.startsWith(`${podsPath}/`)) return undefined;
  const pod = pods.get(path.slice(podsPath.length + 1));
  return pod && document(pod);
}

/** What is upgraded: `exec`, `attach` or `portforward`, and of which pod. */
export function subresourceAt(path: string): { pod: string; verb: string } | undefined {
  const [pod, verb, ...rest] = path.replace(`/api/v1/namespaces/${namespace}/pods/`, '').split('/');
  if (pod === undefined || verb === undefined || rest.length > 0) return undefined;
  return { pod, verb };
}

const resources = [
  { name: 'pods', singularName: 'pod', kind: 'Pod', shortNames: ['po'], verbs: ['get', 'list'] },
  { name: 'pods/exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
  { name: 'pods/attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
  { name: 'pods/portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
].map((resource) => ({ singularName: '', namespaced: true, ...resource }));

function document({ name, command, tty = false, ports = {} }: PodOptions): object {
  const startedAt = '2026-01-01T00:00:00Z';
  const container = {
    name: containerName,
    image: 'a-local-process',
    command,
    stdin: true,
    stdinOnce: true,
    tty,
    ports: Object.keys(ports).map((port) => ({ containerPort: Number(port), protocol: 'TCP' })),
  };
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { name, namespace, uid: name, creationTimestamp: startedAt },
    spec: { containers: [container] },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        { name: containerName, ready: true, restartCount: 0, state: { running: { startedAt } } },
      ],
    },
  };
}
