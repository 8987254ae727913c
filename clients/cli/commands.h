// The commands of `holdfast`, each a function of what was given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "clients/cli/args.h"
#include "clients/cli/remote.h"

namespace holdfast::cli {

/// Whom a command asks: it has no use for the addresses of others, wrong ones or not.
enum class Asks : uint8_t { kClientPort, kAdminPort, kNobody };

/// A command as the command line and the help know it.
struct Command {
  std::string name;     ///< one or two words: "locks", "lock describe"
  std::string usage;    ///< what stands behind the name
  std::string summary;  ///< one line
  std::string text;     ///< what it does, with examples
  std::vector<Flag> flags;
  int (*run)(const Args& args, const Context& context);
  Asks asks = Asks::kClientPort;
  bool runs_command = false;  ///< what stands behind "--"
  bool more_words = false;    ///< "--" ends the flags: words stand behind it, such as --foo
};

/// All commands, in the order of the help.
const std::vector<Command>& commands();

/// Those about keys and watches.
std::vector<Command> key_commands();
/// Those about the members of the cluster.
std::vector<Command> member_commands();
/// Those about files of servers: a log, a snapshot.
std::vector<Command> file_commands();
/// Those that make a new cluster out of such files.
std::vector<Command> founding_commands();

/// Runs one invocation and returns its exit code.
int run(const std::vector<std::string>& argv);

// lock_command.cc
int lock_command(const Args& args, const Context& context);
int elect_command(const Args& args, const Context& context);
// lock_views.cc
int locks_command(const Args& args, const Context& context);
int describe_command(const Args& args, const Context& context);
int revoke_command(const Args& args, const Context& context);
// status_command.cc
int status_command(const Args& args, const Context& context);
// transfer_command.cc
int transfer_command(const Args& args, const Context& context);
// settings_command.cc
int settings_command(const Args& args, const Context& context);
// member_commands.cc
int members_command(const Args& args, const Context& context);
int member_add_command(const Args& args, const Context& context);
int member_promote_command(const Args& args, const Context& context);
int member_remove_command(const Args& args, const Context& context);
int member_replace_command(const Args& args, const Context& context);
int raise_level_command(const Args& args, const Context& context);
// rebuild_command.cc
int rebuild_command(const Args& args, const Context& context);
// session_views.cc
int sessions_command(const Args& args, const Context& context);
int expire_command(const Args& args, const Context& context);
// watches_command.cc
int watches_command(const Args& args, const Context& context);
// key_commands.cc
int get_command(const Args& args, const Context& context);
int put_command(const Args& args, const Context& context);
int create_command(const Args& args, const Context& context);
int remove_command(const Args& args, const Context& context);
// key_views.cc
int ls_command(const Args& args, const Context& context);
int tree_command(const Args& args, const Context& context);
// txn_command.cc
int txn_command(const Args& args, const Context& context);
// watch_command.cc
int watch_command(const Args& args, const Context& context);
// log_command.cc
int log_inspect_command(const Args& args, const Context& context);
int log_verify_command(const Args& args, const Context& context);
// snapshot_command.cc
int snapshot_save_command(const Args& args, const Context& context);
int snapshot_verify_command(const Args& args, const Context& context);
int snapshot_show_command(const Args& args, const Context& context);
// founding_commands.cc
int snapshot_restore_command(const Args& args, const Context& context);
int recover_command(const Args& args, const Context& context);

}  // namespace holdfast::cli
