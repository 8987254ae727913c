// What `holdfast --help` teaches about the commands that make a new cluster.
#include "clients/cli/commands.h"

namespace holdfast::cli {
namespace {

const std::vector<Flag> kFlags = {
    {"data_dir", "DIR", "the server's data directory"},
    {"node_id", "N", "the server's node id"},
    {"client_address", "HOST:PORT", "told to clients; default what the old cluster had for node N"},
    {"peer_address", "HOST:PORT", "told to servers; default what the old cluster had for node N"},
    {"restore_hold", "DURATION",
     "no lock is granted for so long, or for the largest TTL of a session if that is more; default "
     "30s"},
};

std::vector<Flag> and_flags(std::vector<Flag> more) {
  more.insert(more.begin(), kFlags.begin(), kFlags.end());
  return more;
}

}  // namespace

std::vector<Command> founding_commands() {
  return {
      {"snapshot restore", "FILE --data_dir=DIR --node_id=N [flags]",
       "make a new cluster of a saved snapshot, offline",
       "Verifies FILE and fills DIR, which must be absent or empty, so that a holdfastd started on "
       "it\n"
       "is the one member of a new cluster with this state. The cluster has another id, revisions "
       "and\n"
       "tokens above all that the old one can have given, and no sessions: the first entry ends "
       "them.\n"
       "Locks wait for --restore_hold, because old holders may not know yet. Restore ONE server "
       "and\n"
       "join empty ones to it: a FILE that is restored twice makes two clusters. Run it as the "
       "user\n"
       "that the server runs as, and start that without --initial_cluster.\n\n"
       "  holdfast snapshot restore /backup/holdfast-1.db --data_dir=./holdfast-data --node_id=1",
       and_flags({}), snapshot_restore_command, Asks::kNobody},
      {"recover", "--force-new-cluster --data_dir=DIR --node_id=N [flags]",
       "make a new cluster of one surviving server, offline",
       "For when most servers are lost for good. Takes the snapshot and the whole log of the "
       "server in\n"
       "DIR, stopped, and makes a new cluster of it as snapshot restore does. Entries that were "
       "never\n"
       "acknowledged may come to be done, and those that only lost servers had are gone. DIR "
       "stays; "
       "the\n"
       "new directory is DIR.recovered or --into. Asks before it does anything. Run it as the user "
       "that\n"
       "the server runs as, and start that without --initial_cluster.\n\n"
       "  holdfast recover --force-new-cluster --data_dir=./holdfast-data --node_id=2",
       and_flags({{"force-new-cluster", nullptr, "yes, a new cluster: always needed"},
                  {"into", "DIR", "the new data directory; default DIR.recovered"},
                  {"yes", nullptr, "do not ask"}}),
       recover_command, Asks::kNobody},
  };
}

}  // namespace holdfast::cli
