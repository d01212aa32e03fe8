#!/bin/bash
# lab.sh up|test|down - the cluster in virtual machines, as `make lab`, `make lab-test` and `make lab-down` call it.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"
case ${1:-} in
up)   exec "$LAB_SCRIPTS/ready.sh" ;;
test) "$LAB_SCRIPTS/adapters.sh" && exec "$LAB_SCRIPTS/lab-test.sh" ;;
down) "$LAB_SCRIPTS/down.sh"
      rm -rf "$LAB_DIR"/node?.qcow2 "$LAB_DIR/shared.img" "$LAB_DIR"/snap-*
      echo "the virtual machines are gone; what is left in $LAB_DIR makes the next \`make lab\` faster" ;;
*)    echo "usage: lab.sh up|test|down" >&2; exit 2 ;;
esac
