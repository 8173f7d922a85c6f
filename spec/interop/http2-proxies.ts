/** The proxies that pass HTTP/2 on, each as a process of its own, with what they need to be told. */
import { join } from 'node:path';
import { type Program, type RunningProgram, startProgram } from '../../demos/programs.js';

export type ProxyName = 'haproxy' | 'nghttpx' | 'nginx';

/** How each is started before a server that listens on `to`. */
const recipes: Readonly<Record<ProxyName, (to: number) => Program>> = {
  haproxy: (to) => ({
    configuration: (from) => `
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 30s
listen between
  bind 127.0.0.1:${from} proto h2
  server one 127.0.0.1:${to} proto h2
`,
    command: (_from, folder) => ['haproxy', '-f', join(folder, 'configuration'), '-db'],
  }),
  nghttpx: (to) => ({
    command: (from) => [
      'nghttpx',
      ...['--conf=/dev/null', `-f127.0.0.1,${from};no-tls`, `-b127.0.0.1,${to};;proto=h2`],
      ...['--no-ocsp', '--workers=1', '--errorlog-file=/dev/null'],
    ],
  }),
  nginx: (to) => ({
    configuration: (from, folder) => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${from} http2;
    client_max_body_size 0;
    http2_max_concurrent_streams 200;
    keepalive_requests 100000;
    location / {
      grpc_pass grpc://127.0.0.1:${to};
      grpc_read_timeout 60s;
      grpc_send_timeout 60s;
      grpc_socket_keepalive on;
    }
  }
}
`,
    command: (_from, folder) => [
      'nginx',
      ...['-c', join(folder, 'configuration'), '-p', folder, '-e', join(folder, 'error')],
    ],
  }),
};

/** Starts a proxy of its own before a server, and resolves once it listens. */
export function proxyTo(name: ProxyName, to: number): Promise<RunningProgram> {
  return startProgram(recipes[name](to));
}
