# Where the demo is; sourced by the scripts that start, look at and remove it. Its folder is not in build/: a server that
# root starts runs as the user postgres, who may not enter /root, and the path of a socket must stay under 107 bytes.
demo_dir=${ECMIGRATE_DEMO_DIR:-/tmp/ecmigrate-demo-$(id -un)}
page_port=${ECMIGRATE_PAGE_PORT:-3000}
api_port=${ECMIGRATE_API_PORT:-3001}
page_url=http://127.0.0.1:$page_port
api_url=http://127.0.0.1:$api_port
