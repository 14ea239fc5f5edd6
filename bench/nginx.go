//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxConf is nginx as somebody would set it up who wants the same of it: personalised playlists and cached segments. With tcp_nopush
// its filtered and cached answers wait 40 ms on connections that are kept alive, so it is off; everything else helps it. With sendfile a
// filtered playlist takes two system calls for each URI, without it one for all.
const nginxConf = `%[1]s
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections 18000; }
http {
	access_log off;
	server_tokens off;
	sendfile on;
	tcp_nopush off;
	tcp_nodelay on;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	proxy_cache_path %[2]s/cache levels=1:2 keys_zone=live:16m inactive=1h max_size=2g use_temp_path=off;
	gzip on;
	gzip_comp_level 1;
	gzip_min_length 1400;
	gzip_proxied any;
	gzip_types application/vnd.apple.mpegurl;
	upstream origin { server %[3]s; keepalive 32; }
	server {
		listen %[4]s backlog=16384;
		listen %[5]s ssl backlog=16384;
		ssl_certificate %[6]s;
		ssl_certificate_key %[7]s;
		ssl_protocols TLSv1.3;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_set_header Accept-Encoding "";
		proxy_cache live;
		proxy_cache_key $uri;
		location / { proxy_pass http://origin; }
		location ~ \.m3u8$ {
			proxy_pass http://origin;
			sub_filter_types application/vnd.apple.mpegurl;
			sub_filter_once off;
			sub_filter .m3u8 .m3u8?sid=$arg_sid;
			sub_filter .ts .ts?sid=$arg_sid;
			sendfile %[8]s;
			add_header Cache-Control "private, no-store";
		}
	}
}
`

// startNginx starts nginx before the origin.
func startNginx(dir, origin string, cert certificate, sendPlaylists bool) (*server, error) {
	program, err := nginxProgram()
	if err != nil {
		return nil, err
	}
	s := &server{name: "nginx", param: "sid"}
	if s.plain, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.tls, err = freeAddress(); err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the directory is ours alone
	}
	sendfile := "off"
	if sendPlaylists {
		sendfile = "on"
	}
	dir = filepath.Join(dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "nginx.conf")
	conf := fmt.Sprintf(nginxConf, user, dir, origin, s.plain, s.tls, cert.cert, cert.key, sendfile)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	if s.proc, err = start(dir, serverCore(), exec.Command(program, "-c", file, "-p", dir, "-e", "stderr")); err != nil {
		return nil, err
	}
	if err := s.proc.ready(s.plain, s.tls); err != nil {
		s.proc.end()
		return nil, err
	}
	return s, nil
}

var errNoNginx = errors.New("nginx is not installed: run make test, which installs it")

// nginxProgram finds an nginx that can do what Earshot is compared at.
func nginxProgram() (string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // where Debian keeps it, which is not in everybody's PATH
	}
	says, err := exec.Command(program, "-V").CombinedOutput()
	if err != nil {
		return "", errNoNginx
	}
	if !strings.Contains(string(says), "http_sub_module") {
		return "", fmt.Errorf("%s has no sub_filter: Debian's package nginx-light has it", program)
	}
	return program, nil
}
