// What `holdfast --help` teaches about keys and watches.
#include "clients/cli/commands.h"

namespace holdfast::cli {
namespace {

const Flag kLocal = {"local", nullptr,
                     "from one server's own state, which may lag; answers without a leader"};
const Flag kMinRevision = {"min-revision", "REVISION",
                           "as it was at REVISION or later: a server that lags is waited for"};
const Flag kParents = {"parents", nullptr, "create missing parents"};
const Flag kValues = {"values", nullptr,
                      "with the values; without --json the first 256 bytes of each"};

constexpr char kGetText[] =
    "Writes the value as it is. Exit code 66 if there is no such key.\n\n"
    "  holdfast get /config/limits\n"
    "  holdfast get /config/limits --long               # version, times, kind, no value\n"
    "  holdfast get /config/limits --json\n"
    "  holdfast get /config/limits --local --min-revision 4711";

constexpr char kPutText[] =
    "Writes VALUE, or the file of --file, or standard input to its end. An empty value is given "
    "as\n"
    "\"\", or by an empty FILE: standard input that is empty, or a terminal, is an error unless it "
    "is\n"
    "asked for by --file -. A VALUE that begins with a dash stands behind --. A new key is "
    "persistent;\n"
    "a key that is there keeps its kind. The parent must exist, or --parents makes it.\n\n"
    "  holdfast put /config/limits '{\"rps\": 100}' --parents\n"
    "  holdfast put /config/options --parents -- --verbose\n"
    "  holdfast put /config/limits --file limits.json --version 3\n"
    "  date | holdfast put /config/stamp";

constexpr char kCreateText[] =
    "Fails with KEY_EXISTS if the key is there, and prints its path. The value is given as for\n"
    "`holdfast put`, but for --, which begins a command: one that begins with a dash by --file or\n"
    "standard input. With a command and without VALUE and --file it is empty, and so it is with\n"
    "--container if none is given.\n\n"
    "--sequential appends the parent's next number, 20 digits. --ttl: the key goes when it was "
    "not\n"
    "written for so long. --container: it goes with the last of its children. --ephemeral: it "
    "goes\n"
    "with a session, so a command is needed: the key is there while the command runs. It finds\n"
    "HOLDFAST_KEY and HOLDFAST_SESSION in its environment, signals are passed on, and its exit "
    "code\n"
    "is ours. If the key is removed or its session ended, the command gets SIGTERM, a quarter of\n"
    "--session-ttl later SIGKILL, and the exit code is 76.\n\n"
    "  holdfast create /queue --container\n"
    "  holdfast create /queue/job- 'resize 7' --sequential\n"
    "  holdfast create /members/web-1 10.0.0.7:80 --ephemeral -- ./web";

constexpr char kTxnText[] =
    "All conditions of FILE (- is standard input) are judged, and then all steps of one kind "
    "done,\n"
    "in one revision, or nothing. A line each, at most 1,024 of them:\n\n"
    "  if   exists PATH | absent PATH\n"
    "  if   version|modified|created PATH =|!=|<|> NUMBER     (revisions of the writes)\n"
    "  if   value PATH =|!=|<|> VALUE\n"
    "  then put PATH VALUE [version N | new] [parents]\n"
    "  then create PATH VALUE [sequential] [container | ttl DURATION] [parents]\n"
    "  then rm PATH [version N] [recursive]\n"
    "  else ...                                               (if a condition does not hold)\n\n"
    "A VALUE with blanks stands in \"quotes\", with \\n \\t \\\" \\\\ \\xNN. # begins a comment.\n"
    "Exit code 1 if the conditions did not hold; the else steps were done then.\n\n"
    "  printf 'if version /a = 3\\nthen put /a new\\nthen rm /b\\n' | holdfast txn -";

constexpr char kWatchText[] =
    "Prints a line for every change, in order, none left out, until Ctrl-C or --count. It goes on\n"
    "over failovers by itself. PATH need not exist. A line has the revision, what happened, the "
    "path\n"
    "and details. If the servers no longer know what happened since, a line \"resync\" says that\n"
    "all there is follows.\n\n"
    "  holdfast watch /config --scope subtree --values\n"
    "  holdfast watch /members --scope children --json  # a JSON document a line\n"
    "  holdfast watch /members --scope children --only created,removed\n"
    "  holdfast watch /jobs --scope subtree --locks     # who gets and loses locks";

constexpr char kWatchesText[] =
    "The watches that each server of --admin has (name all of them), or those of paths that\n"
    "begin with PREFIX: whose they are, what they see of the path, and whether they are\n"
    "`behind` what happened, or told the present state anew (`resync`). Who stays behind is\n"
    "slow or away: a session that polls another server keeps its watches to its end.\n"
    "Exit code 69 if any server does not answer.\n\n"
    "  holdfast watches /config --admin 127.0.0.1:7413,127.0.0.1:7423,127.0.0.1:7433";

std::vector<Command> writes() {
  return {
      {"put",
       "PATH [flags] [--] [VALUE]",
       "write a key",
       kPutText,
       {{"file", "FILE", "the value is the content of FILE; - is standard input"},
        {"version", "N", "only if the key has this version"},
        {"new", nullptr, "only if there is no such key yet"},
        kParents},
       put_command,
       Asks::kClientPort,
       /*runs_command=*/false,
       /*more_words=*/true},
      {"create",
       "PATH [VALUE] [flags] [-- COMMAND [ARG...]]",
       "create a key; or keep one while a command runs",
       kCreateText,
       {{"file", "FILE", "the value is the content of FILE; - is standard input"},
        {"sequential", nullptr, "append the parent's next number"},
        {"container", nullptr, "it goes with the last of its children"},
        {"ttl", "DURATION", "it goes when it was not written for so long, 1s to 720h"},
        {"ephemeral", nullptr, "it goes when the command behind -- ends"},
        {"session-ttl", "DURATION", "--ephemeral: how long the key outlives us; default 10s"},
        kParents},
       create_command,
       Asks::kClientPort,
       /*runs_command=*/true},
      {"rm",
       "PATH [flags]",
       "remove a key",
       "A key with children needs --recursive, which takes at most 10,000 keys at once. With\n"
       "--in-parts it takes any number, from the leaves up: others see it half removed.\n\n"
       "  holdfast rm /config/limits --version 3\n  holdfast rm /queue --recursive",
       {{"recursive", nullptr, "with all keys below it"},
        {"in-parts", nullptr, "--recursive: not at once, but however many keys there are"},
        {"version", "N", "only if the key has this version"}},
       remove_command},
      {"txn", "FILE", "do several writes at once, if conditions hold", kTxnText, {}, txn_command},
  };
}

}  // namespace

std::vector<Command> key_commands() {
  std::vector<Command> all = {
      {"get",
       "PATH [flags]",
       "show a key's value",
       kGetText,
       {{"long", nullptr, "what is known of the key instead of its value (-l)"},
        kLocal,
        kMinRevision},
       get_command},
      {"ls",
       "[PATH] [flags]",
       "list the keys below a path",
       "The children of PATH, or of the root. Exit code 66 if there is no key PATH.\n\n"
       "  holdfast ls\n  holdfast ls /config -l --values",
       {{"long", nullptr, "a table: kind, version, bytes, children, time (-l)"},
        kValues,
        kLocal,
        kMinRevision},
       ls_command},
      {"tree",
       "[PATH] [flags]",
       "show all keys below a path",
       "Each key right of and below its parent.\n\n  holdfast tree /config --values",
       {kValues, kLocal, kMinRevision},
       tree_command},
  };
  for (Command& command : writes()) all.push_back(std::move(command));
  all.push_back(
      {"watch",
       "PATH [flags]",
       "follow what happens to keys and locks",
       kWatchText,
       {{"scope", "SCOPE", "node (PATH itself), children or subtree; default node"},
        {"since", "REVISION", "begin after this revision, 0: with the first; default: from now on"},
        {"locks", nullptr, "locks instead of keys"},
        {"keys", nullptr, "with --locks: keys, too"},
        {"only", "EVENT,...", "of created, changed, removed, granted, ended; default all"},
        {"count", "N", "end after so many events; 0, as without it: never"},
        {"progress", nullptr,
         "say now and then up to which revision all was shown, though nothing happened"},
        kValues},
       watch_command});
  all.push_back({"watches",
                 "[PREFIX]",
                 "who watches what, on each server",
                 kWatchesText,
                 {},
                 watches_command,
                 Asks::kAdminPort});
  return all;
}

}  // namespace holdfast::cli
