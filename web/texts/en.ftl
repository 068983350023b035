# Frame
nav-main = Main
nav-where = Where you are
nav-team = Team
nav-overview = Overview
nav-containers = Containers
nav-storage = Storage
nav-images = Images
nav-volumes = Volumes
nav-registry = Registry
nav-administration = Administration
nav-account = Account
nav-reference = API reference
nav-more = More
sign-out = Sign out
live-on = Live
live-off = Live updates stopped
back = Back

# Sign-in and setup
sign-in = Sign in
sign-in-to = Sign in to { $value }
sign-in-hint = Use the account that your administrator made for you.
sign-in-motto = Containers for your team, on your own hosts.
sign-in-lost = Lost your authenticator? On the host, root runs
sign-in-wrong = User name, password or code is wrong.
sign-in-throttled = Too many tries. Wait { $value } s, then try again.
user-name = User name
password = Password
password-hint = At least 8 characters.
code = Code
code-hint = From your authenticator app, or a recovery code. Leave it empty if you have set up neither.
setup = First run
setup-title = Make the first administrator
setup-hint = Sampan runs and nobody has an account yet.
setup-token = Setup token
setup-token-hint = Printed on the server's console when it started. It works once.
setup-token-wrong = This setup token is wrong or was used already. Restart the server to print a new one.
setup-do = Make the account

# States
state-created = Created
state-running = Running
state-paused = Paused
state-restarting = Restarting
state-exited = Exited { $value }
state-finished = Finished
state-dead = Dead
state-removing = Removing
state-unknown-exit = Ended, code unknown
state-healthy = Healthy
state-starting = Starting
state-unhealthy = Unhealthy

# Overview
headline-calm = Everything is as it should be
headline-need = { $value ->
    [one] One container needs you
   *[other] { $value } containers need you
}
headline-empty = Nothing runs yet
count-running = running
count-restarting = restarting
count-failed = failed
count-rest = at rest
state-rest = At rest
needs-attention = Needs attention
needs-nothing = Nothing needs you.
recent-events = Recent events
events-none = Nothing has happened since the server started.
event-container = { $other } { $value }
host = Host
cpu = CPU
memory = Memory
disk = Disk
network = Network
processes = Processes
of-cores = { $value ->
    [one] of 1 core
   *[other] of { $value } cores
}
of-limit = of { $value }
no-limit = no limit

# Containers
new-container = New container
containers-filter = Filter by name or image
filter = Filter
filter-clear = Clear filters
containers-none = No container yet
containers-none-hint = Load an image, then create a container from it; the docker command line works as well.
containers-no-match = No container matches these filters
containers-no-match-hint = { $value ->
    [one] Without them there is one.
   *[other] Without them there are { $value }.
}
containers-shown = { $value } of { $other }
select = Select
selected = selected
name = Name
state = State
image = Image
memory-of-limit = Memory / limit
ports = Ports
uptime = Uptime
start = Start
stop = Stop
restart = Restart
pause = Pause
unpause = Resume
remove = Remove
remove-asks = Remove…
act-done = { $other }: { $value }
act-failed = { $other } was not changed: { $value }
removed = { $value } removed
reason-out-of-memory = out of memory
reason-exited-ago = { $value } ago
reason-restarts = { $value ->
    [one] 1 restart
   *[other] { $value } restarts
}
ended-failed = Last run ended with { $value }
ended-oom = Last run ended: out of memory
ended-text = At { $value } the main process ended. { $other }
ended-oom-text = At { $value } the kernel ended a process, because the container reached its limit of { $other }.
ended-start-text = It could not be started: { $value }
exit-0 = It ended by itself, without an error.
exit-1 = The program reports an error; its log says more.
exit-125 = It was never started.
exit-126 = The program exists but cannot be run.
exit-127 = The program was not found in the image.
exit-137 = It was killed (SIGKILL).
exit-143 = It was asked to end (SIGTERM).
exit-unknown = Nobody could learn its exit code.
log-before-end = Log before the end
use-against-limits = Use against limits
use-note = now; the limit is what the kernel holds
not-running = It does not run.
runs-as = Runs as
command = Command
user = User
working-directory = Working directory
health = Health
health-check = Health check
health-times = Every { $value }, at most { $other } long
health-streak = Failures in a row
health-streak-of = { $value } (unhealthy from { $other } on)
health-none-yet = No check has ended yet.
health-code = Exit code { $value }
health-broken = The check could not be run, or took too long
restart-policy = Restart policy
ports-and-mounts = Ports and mounts
ports-none = Nothing is published and nothing is mounted.
isolation = Isolation
isolation-mapped = root inside is nobody outside
isolation-host = root inside is root outside
process-on-host = Process on the host
process-inside = In the container
namespaces = Namespaces
id-map = User id map
id-map-text = 0 to 65535 inside are { $value } to { $other } on the host, which own no files and have no rights there.
id-map-host = Ids inside are the host's own.
capabilities = Capabilities
seccomp = Seccomp
seccomp-default = default profile
seccomp-unconfined = none
seccomp-custom = own profile
root-file-system = Root file system
read-only = read-only
writable = writable
privileges = Privileges
no-new-privileges = no new ones
privileged = privileged
cgroup = cgroup
logs = Logs
stats = Stats
console = Console
configuration = Configuration
log-search = Show only lines with this text
log-lines = Last lines
show = Show
download = Download
log-count = { $value ->
    [one] 1 line
   *[other] { $value } lines
}
log-following = Following
log-paused = Paused
log-ended = Ended
log-new = new lines
log-gap = Output may have been lost here.
now = Now
received = received
sent = sent
read = read
written = written
console-not-running = No console: it does not run
console-not-running-hint = Start it, then open a console.
console-command = Program
console-shell = first shell found
console-user = User
console-open = Open
console-audit = Every session stands in the audit trail.
console-closed = The program ended.
console-failed = The connection was lost.
console-needs-script = The console needs JavaScript; docker exec -it does the same.
environment = Environment
environment-note = values are hidden
environment-reveal = Reveal values
environment-hidden = hidden
none = None
labels = Labels
same-as-docker = The same by docker
remove-title = Remove { $value }?
remove-running = It runs and will be killed. Its writable layer and its log are deleted for good.
remove-stopped = Its writable layer and its log are deleted for good.
remove-volumes = Also remove its anonymous volumes
keep-it = Keep it
remove-do = Remove { $value }

# New container
new-what = What runs
new-name-hint = Left empty, it gets a name of two words.
new-command-hint = Instead of the image's own. Quotes group words.
new-tty = A terminal and an open standard input
new-reach = How it is reached
new-ports-hint = One a line: 8080:80, 127.0.0.1:8080:80, 53:53/udp
new-data = Data
new-volumes-hint = One a line: volume:/folder or volume:/folder:ro, or a granted host folder: /srv/shared:/folder
new-limits = Limits
new-memory-hint = Bytes, or with k, m, g. Empty: no limit.
new-cpus-hint = Cores, as a decimal number. Empty: no limit.
new-run = Create and start
new-create = Create only
new-no-image = This team has no image yet. Load one first.
new-bad-line = { $other } cannot be read: { $value }

# Images and volumes
image-pull = Pull image
image-pull-note = from its registry, with the team's name there where one is kept
pull = Pull
platform = Platform
platform-own = this host's
all-tags = All tags
pull-of = Pull { $value }
push-of = Push { $value }
cancel = Cancel
dismiss = Dismiss
work-running = Under way
work-done = Done
work-cancelled = Given up
work-failed = Failed
work-leave = It goes on when you leave this page; Images lists it.
work-given-up = Given up. What came is removed.
work-forgotten = Dismissed
work-begun = begun at { $value }
work-layers = { $value ->
    [one] 1 layer
   *[other] { $value } layers
}
layer-waiting = waiting
layer-exists = there already
layer-coming = downloading
layer-going = uploading
layer-done = done
images-filter = Filter by name or id
images-only-unused = Only unused
images-no-match = No image matches these filters
images-unused = { $value ->
    [one] 1 unused image holds { $other }.
   *[other] { $value } unused images hold { $other }.
}
images-unused-kept = Another { $value } of their layers stay, because images in use or repositories share them.
images-prune = { $value ->
    [one] Remove 1, free { $other }…
   *[other] Remove { $value }, free { $other }…
}
images-prune-hint = All images that no container uses go, with their names. They can be pulled or loaded again.
images-prune-do = Remove unused images
images-pruned = Unused images were removed: { $value } were freed.
own = Own
shared = Shared
image-load = Load image
image-load-note = a docker archive or an OCI layout, as docker save makes it
image-load-failed = The image was not loaded.
image-archive = Archive
image-loaded = Loaded { $value }
images-summary = { $value ->
    [one] 1 image, { $other } in layers
   *[other] { $value } images, { $other } in layers
}
images-none = No image yet
images-none-hint = Pull one by its name, load an archive here, or run: docker load
image-id = Id
image-untagged = untagged
image-in-use = A container uses it.
image-made = made { $value }
image-came = here since { $value }
image-in-layers = { $value ->
    [one] { $other } in 1 layer
   *[other] { $other } in { $value } layers
}
image-shared = { $value } shared
image-own = { $value } of its own
image-frees = removing frees { $value }
image-count = { $value ->
    [one] 1 image
   *[other] { $value } images
}
image-author = Author
image-save = Save as file
image-remove-hint = The image and all its names go. It can be pulled or loaded again.
image-used-by-none = No container uses it.
image-new-name = Further name
image-tag = Add name
image-tagged = The image is also { $value } now
image-push = Push
image-push-hint = It goes to the registry that stands in the name; add a name to push it elsewhere.
push = Push
untag = Take off
copy = Copy
exposed-ports = Exposed ports
stop-signal = Stop signal
entrypoint = Entrypoint
compare = What changed
compare-with = Compared with
compare-do = Compare
difference-turn = The other way round
difference-before = Before
difference-after = After
difference-added = added
difference-changed = changed
difference-removed = removed
difference-meta = owner or mode
difference-no-settings = Containers of both are started in the same way.
difference-no-packages = No package differs.
difference-no-files = No file differs. Times do not count.
difference-packages-of = { $value } before, { $other } after; dpkg and apk
difference-packages-not-read = The database of { $value } is not read: its packages are not listed here.
difference-packages-incomplete = A database was too large to be read whole.
difference-not-compared = { $value ->
    [one] 1 file of the same size was not compared: more bytes than are read for one page.
   *[other] { $value } files of the same size were not compared: more bytes than are read for one page.
}
and-more = and { $value } more
files = Files
file = File
files-added = { $value } added, { $other }
files-changed = { $value } changed, { $other }
files-removed = { $value } removed, { $other }
packages = Packages
package = Package
setting = Setting
shell = Shell
size = Size
used-by = Used by
unused = unused
created = Created
volume-create = Create volume
volume-created = Volume { $value } is there
volume-remove-confirm = Type { $value } to delete it and its data for good
volume-not-confirmed = { $value } was not removed: the typed name is another
volumes-none = No volume yet
volumes-none-hint = A volume keeps data when its container goes.
anonymous = anonymous

# Registry
registry-summary = { $value ->
    [one] 1 repository, { $other } in blobs
   *[other] { $value } repositories, { $other } in blobs
}
registry-filter = Filter by name
registry-none = No repository yet
registry-none-hint = A repository is made by its first push.
registry-no-match = No repository matches this filter
registry-push = How to push
registry-push-hint = Log in with your name and an API token of this team; under Team you can make one.
registry-plain = This address has no TLS: docker takes it only when it is listed under insecure-registries. With sampan serve --https it needs no such entry.
registry-bad-team = { $value } cannot be part of an image name. Rename the team to lower-case letters and digits, then push.
nav-registries = Other registries
registries-hint = Where images come from and go to: Docker Hub, registries on the internet and in your network.
credentials = Names at registries
credentials-note = used for this team's pulls and pushes; passwords are sealed and never shown
credentials-none = No name is kept: registries are asked as nobody.
credential-new = Keep a name and a password
credential-secret = Password
credential-secret-hint = Or an access token in its place, which is better: it can be revoked at the registry.
credential-kept = { $other } is used at { $value } now
mirrors = Mirrors
mirrors-note = asked in their order before the registry; every byte is checked by its digest
mirrors-none = No mirror: each registry is asked itself.
mirror = Mirror
mirror-new = Add mirror
mirror-removed = The mirror was removed
mirror-order = Order
mirror-order-hint = The lowest is asked first.
mirror-on = asked
mirror-off = Not asked
mirror-well = Asked; nothing is known against it
mirror-again = Failed before; it is asked again
mirror-rests = Failed; passed over for { $value }
mirror-registry-away = The registry itself could not be reached: { $value }
mirror-lied = Gave wrong bytes; passed over for { $value }
registry-rules = How registries are reached
registry-rules-note = registries on the internet need no entry
registry-rules-none = Nothing is said: teams reach the internet, administrators this host as well.
registry-rule-new = Say how a registry is reached
registry-reach = Reach
registry-plain-http = without TLS
registry-own-ca = own certificates
registry-teams-may = teams may reach it at a private address
registry-administrators-only = administrators may reach it at a private address
registry-ca = Certificates
registry-ca-hint = PEM of those that may have signed its own. Empty: those that this host trusts.
proxies = Proxies
proxies-note = from the configuration
served = What served what
served-note = each place that gave something to a pull of this team
served-none = Nothing was pulled yet.
served-at = When
served-by = Served by
blobs = Blobs
repositories = Repositories
tags = Tags
tag = Tag
manifests = Manifests
digest = Digest
public = public
private = private
settings = Settings
copy-pull = Copy the pull command
copied = Copied
list-first = First page
list-next = Next page
repository-who = Who may pull
repository-public-hint = Anybody (public)
repository-private-hint = The team (private)
repository-pushed = Last push
repository-tags = { $value ->
    [one] 1 tag
   *[other] { $value } tags
}
repository-manifests = { $value ->
    [one] 1 manifest
   *[other] { $value } manifests
}
repository-pulls = { $value ->
    [one] pulled once, at { $other }
   *[other] pulled { $value } times, last at { $other }
}
repository-never-pulled = never pulled
repository-no-tags = No tag names anything here.
repository-untagged = Untagged manifests
repository-untagged-note = no tag and no index names them
manifest-about = about { $value }
manifest-remove-hint = It is gone for good, and what only it needs is deleted.
tag-remove-hint = The tag goes. Its manifest stays, and can be pulled by its digest until the rules take it.
repository-immutable = Immutable: a push never moves one
repository-movable = A push may move one
repository-keep-tags = Newest tags to keep
repository-keep-tags-of = { $value }
repository-keep-all = all
repository-keep-tags-hint = Older tags go. Empty: all stay.
repository-keep-days = Days without a tag
repository-keep-days-of = { $value }
repository-keep-ever = for ever
repository-keep-days-hint = An untagged manifest goes after so many days. Empty: it stays.
repository-keep-wrong = Nothing was changed: tags to keep are a number from 1 on, days a number from 0 on, or empty.
repository-retain = Apply the rules now
repository-retain-hint = They are applied once a day.
repository-retained = Tags that went: { $value }. Manifests that went: { $other }.
repository-remove = Remove repository
repository-remove-hint = All its tags and manifests are deleted for good. Containers that run from its images go on.
repository-remove-confirm = Type { $value } to remove it
robots = Robots
robots-hint = A robot pulls or pushes for a program, such as a build server or another host.
robots-none = No robot yet
robots-none-hint = Its secret works for the registry only, and stops working when you revoke it.
robot-login = Logs in as
robot-access = May
robot-pull = pull
robot-push = pull and push
robot-all = all of the team
robot-repositories-hint = The beginning of their names, such as apps/. Empty: all of the team.
robot-expires = Expires
robot-lasting = never
robot-expired = expired at { $value }
robot-days = { $value ->
    [one] in 1 day
   *[other] in { $value } days
}
robot-used = Last use
robot-new = Make robot
robot-made = The robot was made
robot-revoked = The robot was revoked

# Team and account
members = Members
member-add = Add member
member-added = { $value } is a member now
role = Role
folders = Host folders
folders-note = for this team's containers, with all beneath
folders-none = No host folder is granted.
folder-grant = Grant host folder
folder-granted = { $value } may be bound now
folder-revoked = No further start gets { $value }
folder-path = Path on the host
folder-read-only = read-only
folder-writable = read and write
audit = Audit trail
audit-none = Nothing was done yet.
team-facts = Host ids { $value } to { $other }
tokens = Tokens
tokens-note = yours, in this team
tokens-none = No token yet.
token-new = New token
token-made = The token was made
token-made-hint = It is shown this once. Copy it now.
token-never-used = never used
token-used = used { $value } ago
revoke = Revoke
revoked = The token was revoked
look = Look
language = Language
theme = Theme
theme-system = As the system
theme-light = Light
theme-dark = Dark
save = Save
saved = Saved
password-change = Change password
password-changed = The password was changed; other sessions were ended
password-current = Current password
password-new = New password
totp = Second factor
totp-on = A code from your authenticator is asked at each sign-in.
totp-off = No code is asked at sign-in.
totp-begin = Set up an authenticator
totp-scan = Scan this with your authenticator app, then enter the code it shows.
totp-confirm = Turn on
totp-wrong = This code is wrong. Nothing was changed.
recovery-codes = Recovery codes
recovery-hint = Each works once when the authenticator is lost. They are shown this once.

# Times
seconds = { $value } s
minutes = { $value } min
hours = { $value } h
days = { $value } d

# Refusals
refused-not-found = Nothing is here
refused-not-found-text = It does not exist, or your team does not have it.
refused-forbidden = This is not allowed
refused-failed = This did not work
refused-full-text = The disk with Sampan's data is full. Remove stopped containers, unused images and volumes, here or by docker system prune; what runs goes on.
refused-csrf-text = The form was too old or came from another page. Nothing was changed; go back and try again.
refused-status = Status { $value }
