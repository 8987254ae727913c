// What `holdfast --help` teaches about the commands for files of servers.
#include "clients/cli/commands.h"

namespace holdfast::cli {

std::vector<Command> file_commands() {
  return {
      {"log inspect",
       "DIR",
       "show what is in a server's log, offline",
       "Reads the logs below a data directory; never writes.\n\n"
       "  holdfast log inspect ./holdfast-data --records --json",
       {{"batches", nullptr, "every batch (with --json)"},
        {"records", nullptr, "every record (with --json)"}},
       log_inspect_command,
       Asks::kNobody},
      {"log verify",
       "DIR",
       "check a server's log, offline",
       "Verifies every checksum. Exit code 1 if there is damage, naming file and offset; a torn "
       "tail\n"
       "is normal after a crash.\n\n  holdfast log verify ./holdfast-data",
       {},
       log_verify_command,
       Asks::kNobody},
      {"snapshot save",
       "FILE [flags]",
       "save a backup of the whole state, online",
       "Asks the first server of --admin for its state at one revision, piece by piece, while it "
       "goes\n"
       "on serving; another one, from the beginning, if it is lost. The state is not older than "
       "what\n"
       "was committed when the command was called. FILE appears when all is there, verified and "
       "on\n"
       "the disk; until then it is FILE.part. It holds all values and belongs to its user alone.\n"
       "Exit code 73 if FILE cannot be written.\n\n"
       "  holdfast snapshot save /backup/holdfast-$(date +%F).db",
       {{"force", nullptr, "replace FILE if it is there"},
        {"local", nullptr, "what that server has applied will do: needs no leader, may lag"}},
       snapshot_save_command,
       Asks::kAdminPort},
      {"snapshot verify",
       "FILE",
       "check a saved snapshot, offline",
       "Does all that a server does with a snapshot when it starts: format and tables, SQLite's\n"
       "quick_check, the check of every row, and the digest of the whole state, which is loaded "
       "for\n"
       "that and takes the memory that it takes in a server. The file is only read. Exit code 1 if "
       "it\n"
       "is damaged, 65 if a newer program wrote it.\n\n"
       "  holdfast snapshot verify /backup/holdfast-1.db",
       {},
       snapshot_verify_command,
       Asks::kNobody},
      {"snapshot show",
       "FILE",
       "show what is in a saved snapshot, offline",
       "Verifies it and shows the cluster, node, revision and digest, what it holds, and the "
       "members.\n\n"
       "  holdfast snapshot show /backup/holdfast-1.db",
       {},
       snapshot_show_command,
       Asks::kNobody},
  };
}

}  // namespace holdfast::cli
