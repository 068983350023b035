# Guests with cgroup v2 and systemd: Debian 13 (kernel 6.12) and Debian 12 (kernel 6.1), emulated where there is no KVM.
.PHONY: vm vm-smoke vm-images
vm-images: ## makes the guests' images in ~/.cache/sampan-vm, once
	tests/vm/packages
	tests/vm/vm make trixie
	tests/vm/vm make bookworm

vm-smoke: build ## runs, limits and signals on cgroup v2, in a guest
	tests/vm/packages
	tests/vm/smoke

vm: vm-smoke ## installs in a guest, walks, reboots and looks again
	tests/vm/walk
