// What `holdfast --help` teaches.
#include "clients/cli/commands.h"

namespace holdfast::cli {
namespace {

const std::vector<Flag> kLockFlags = {
    {"wait", "DURATION", "give up when the lock was not granted within this; default: wait on"},
    {"try", nullptr, "give up at once if the lock is held"},
    {"ttl", "DURATION", "how long the servers keep the lock without hearing from us; default 10s"},
    {"margin", "DURATION", "SIGTERM this long before the deadline; default a quarter of the TTL"},
    {"shared", nullptr, "share it with other --shared holders"},
    {"semaphore", "PERMITS/LIMIT", "hold that many of the lock's permits, e.g. 1/4"},
    {"value", "TEXT", "published with the holder, e.g. an address"},
    {"delay", "DURATION", "keep the lock closed this long if we die holding it"},
    {"name", "TEXT", "the session's name for people; default COMMAND@HOST:PID"},
    {"quiet", nullptr, "do not say, after 1s, that the lock is waited for, and who holds it"},
};

const std::vector<Flag> kElectFlags = {
    {"value", "TEXT", "what the leader publishes, e.g. its address"},
    {"wait", "DURATION", "give up when not elected within this; default: stand on"},
    {"ttl", "DURATION", "how long the servers keep a silent leader; default 10s"},
    {"margin", "DURATION", "SIGTERM this long before the deadline; default a quarter of the TTL"},
    {"name", "TEXT", "the session's name for people; default COMMAND@HOST:PID"},
    {"quiet", nullptr, "do not say, after 1s, that the lock is waited for, and who holds it"},
};

constexpr char kLockText[] =
    "Waits for the lock, runs the command while it is held, releases it, and exits with the\n"
    "command's exit code. The command finds HOLDFAST_TOKEN (the fencing token: pass it to "
    "whatever\n"
    "the command writes to), HOLDFAST_LOCK, HOLDFAST_HOLDER and HOLDFAST_SESSION in its "
    "environment.\n\n"
    "If no server can be reached, the command's process group gets SIGTERM before the lock's own\n"
    "deadline and SIGKILL at it: nothing of the group runs on when another may hold the lock. If\n"
    "holdfast itself is killed, so is the command, but not what the command started. Signals sent\n"
    "to holdfast are passed on. Exit codes: 75 not granted, 76 lost, 69 no server, 126/127 the "
    "command\n"
    "could not be run. Servers are --servers, or HOLDFAST_SERVERS.\n\n"
    "  holdfast lock /jobs/nightly -- ./nightly.sh\n"
    "  holdfast lock /jobs/nightly --try -- ./nightly.sh || echo 'already running'\n"
    "  holdfast lock /db/migrate --wait 5m --ttl 30s -- sh -c './migrate --token $HOLDFAST_TOKEN'\n"
    "  holdfast lock /pool/gpu --semaphore 1/4 -- ./train";

constexpr char kElectText[] =
    "Stands for election: waits until it leads, publishes --value, runs the command while it "
    "leads,\n"
    "and stops it as `holdfast lock` does. Without a command it shows who leads.\n\n"
    "  holdfast elect /services/billing --value \"$(hostname):8080\" -- ./billing\n"
    "  holdfast elect /services/billing";

constexpr char kExpireText[] =
    "Its locks and places go when it ends. Notice and force as in `holdfast lock revoke`.\n"
    "The reason is the note of the tenures that end with the session. A client that releases a "
    "lock\n"
    "under the notice, as ours do at its end, leaves a tenure that says \"released\", without "
    "a note;\n"
    "`holdfast lock revoke` keeps the reason then too.\n\n"
    "  holdfast session expire 4711 --notice 30s";

std::vector<Command> lock_commands() {
  return {
      {"lock", "PATH [flags] -- COMMAND [ARG...]", "run a command while holding a lock", kLockText,
       kLockFlags, lock_command, Asks::kClientPort, /*runs_command=*/true},
      {"elect", "PATH --value TEXT [flags] -- COMMAND [ARG...]",
       "run a command while being the leader; or show the leader", kElectText, kElectFlags,
       elect_command, Asks::kClientPort, /*runs_command=*/true},
      {"locks",
       "[PREFIX]",
       "list locks that are held or waited for",
       "Lists locks whose path begins with PREFIX.\n\n  holdfast locks\n  holdfast locks /jobs/",
       {},
       locks_command},
      {"lock describe",
       "PATH",
       "explain one lock: holders, queue, past holders",
       "Who holds the lock, with which fencing token and for how long the lease still runs; who\n"
       "waits, in order; the last holders, and why each tenure ended.\n\n"
       "  holdfast lock describe /jobs/nightly",
       {},
       describe_command},
      {"lock revoke",
       "PATH [flags]",
       "take a lock away from its holders",
       "The holder is told and has --notice to finish; then the lock goes to the next. A holder "
       "that\n"
       "does not answer loses it one TTL after the announcement. With --force it goes at once, "
       "the\n"
       "old holder may still believe it holds, and only fencing tokens protect.\n\n"
       "  holdfast lock revoke /jobs/nightly --notice 30s --reason 'maintenance'",
       {{"holder", "ID", "only this holder (see lock describe); default: every one"},
        {"notice", "DURATION", "time the holder has after it was told; default 10s"},
        {"reason", "TEXT", "told to the holder and kept with the tenure"},
        {"force", nullptr, "take it at once"}},
       revoke_command},
  };
}

std::vector<Command> cluster_commands() {
  return {
      {"sessions",
       "",
       "list sessions",
       "Every session with its name, TTL, what is left of its lease, and how many locks and queue\n"
       "places it has.\n\n  holdfast sessions",
       {},
       sessions_command,
       Asks::kAdminPort},
      {"session expire",
       "ID [flags]",
       "end a session for its client",
       kExpireText,
       {{"notice", "DURATION", "time the client has after it was told; default 10s"},
        {"reason", "TEXT", "told with the notice, kept with tenures that end with the session"},
        {"force", nullptr, "end it at once"}},
       expire_command,
       Asks::kAdminPort},
      {"status",
       "",
       "how the servers are, each as it sees itself",
       "One line per --admin address (name all of them: a server does not know the others'): "
       "role,\n"
       "term, positions in the log, connections, alarms. Each has 2s to answer, or --timeout.\n"
       "Exit code 69 if any does not answer. A dead server that --admin does not name is no error\n"
       "by itself: with --check the exit code is 1 if a server raises an alarm or is not "
       "connected\n"
       "with another.\n\n"
       "  holdfast status --admin 127.0.0.1:7413,127.0.0.1:7423,127.0.0.1:7433",
       {{"check", nullptr, "exit code 1 unless all is well, though every server answers"}},
       status_command,
       Asks::kAdminPort},
      {"transfer-leader",
       "[NODE]",
       "hand leadership to another server",
       "To NODE, or to the other voter whose log is furthest ahead. If NODE leads already there "
       "is\n"
       "nothing to do, and the exit code 0.\n\n  holdfast transfer-leader 2",
       {},
       transfer_command,
       Asks::kAdminPort},
      {"rebuild",
       "[flags]",
       "replace a quarantined server's state by another's",
       "The server at --admin, of which exactly one is needed, gets the state of another server,\n"
       "verifies it, puts it in force and serves again. The database that it had is kept, and the\n"
       "command says where. Waits until that is done, and goes on at the server if interrupted.\n"
       "A leader hands over first. Refused if no other voter is known to have a state, by force\n"
       "too. Exit code 69 if the server ends meanwhile, or is silent for --timeout (here 2m).\n\n"
       "  holdfast rebuild --admin 127.0.0.1:7433\n"
       "  holdfast rebuild --admin 127.0.0.1:7433 --from 1 --force",
       {{"from", "NODE", "whose state; default: any server's that is not quarantined"},
        {"force", nullptr, "also if no majority says that this server's state is the wrong one"}},
       rebuild_command,
       Asks::kAdminPort},
      {"settings",
       "[NAME...] [NAME=VALUE...]",
       "show or change the replicated limits",
       "Shows all, or those that are named, or changes those that are named, all or none of them, "
       "and shows for each the "
       "value\n"
       "that it had and the one that it has now.\n\n  holdfast settings\n"
       "  holdfast settings waiters_per_lock_max=5000",
       {},
       settings_command,
       Asks::kAdminPort},
  };
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = [] {
    std::vector<Command> list = lock_commands();
    for (Command& command : key_commands()) list.push_back(std::move(command));
    for (Command& command : cluster_commands()) list.push_back(std::move(command));
    for (Command& command : member_commands()) list.push_back(std::move(command));
    for (Command& command : file_commands()) list.push_back(std::move(command));
    for (Command& command : founding_commands()) list.push_back(std::move(command));
    return list;
  }();
  return all;
}

}  // namespace holdfast::cli
