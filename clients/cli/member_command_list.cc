// What `holdfast --help` teaches about the members of the cluster.
#include "clients/cli/commands.h"

namespace holdfast::cli {
namespace {

constexpr char kListText[] =
    "Every member with its role, its addresses and which disk it has, and who was removed. A\n"
    "`voter` votes; a `learner` only receives; `joining` becomes a voter, by itself as soon as it\n"
    "has caught up; `leaving` is replaced by the change under way. Only the leader knows who has\n"
    "caught up: it is looked for among --admin, and without it CAUGHT UP shows \"-\".\n\n"
    "  holdfast member list\n"
    "  holdfast members";

constexpr char kAddText[] =
    "NODE is an id that was never used, ADDRESS where the servers reach its peer port. Start it\n"
    "first, with an empty data directory and --join:\n\n"
    "  holdfastd --node_id=4 --data_dir=/var/lib/holdfast --join=10.0.0.1:7412 \\\n"
    "    --peer_address=10.0.0.4:7412 --client_address=10.0.0.4:7411 ...\n"
    "  holdfast member add 4 10.0.0.4:7412\n\n"
    "The leader asks it who it is, adds it as a learner, and makes it a voter as soon as it has\n"
    "caught up; with --learner it stays a learner, which serves reads and watches and never "
    "votes.\n"
    "What is so already is no error: the command may be repeated.";

constexpr char kPromoteText[] =
    "Makes a learner a voter, if it has caught up. With --force also one that lags, and also if "
    "no\n"
    "quorum of the new voters has answered lately: nothing is lost, but commits wait until there "
    "is\n"
    "such a quorum, and so does everything else, the way back included.\n\n"
    "  holdfast member promote 4";

constexpr char kRemoveText[] =
    "The server takes no part any more, for good: neither its id nor its data directory is used\n"
    "again. Its process says so in status and serves nobody. A leader may remove itself.\n"
    "Refused if no quorum of the remaining voters has answered lately; --force goes on all the\n"
    "same: nothing is lost, but if they never come together, nothing is committed any more, and\n"
    "there is no way back. Where most voters are dead there is no leader, and --force is no help:\n"
    "see `holdfast recover`.\n\n"
    "  holdfast member remove 3";

constexpr char kReplaceText[] =
    "Adds NEW and removes OLD in one step, in the role that OLD has: for a server whose disk is\n"
    "lost. Start NEW first, as for `member add`. A quorum of the others must live.\n\n"
    "  holdfast member replace 3 4 10.0.0.4:7412";

constexpr char kRaiseText[] =
    "The last step of an upgrade, when all servers run the new program: entries of the log may\n"
    "need LEVEL from then on, by default the highest that a member knows. There is no way back: "
    "no\n"
    "server of an older program can start or be added any more. Refused if a member knows less;\n"
    "`member list` shows what each knows, `status` what is in force.\n\n"
    "  holdfast raise-level";

}  // namespace

std::vector<Command> member_commands() {
  const Flag force{"force", nullptr, "though commits may have to wait, perhaps for ever"};
  return {
      {"members", "", "the cluster's members", kListText, {}, members_command, Asks::kAdminPort},
      {"member list",
       "",
       "the cluster's members",
       kListText,
       {},
       members_command,
       Asks::kAdminPort},
      {"member add",
       "NODE ADDRESS [flags]",
       "add a server that runs with --join",
       kAddText,
       {{"learner", nullptr, "it never votes, unless promoted"}},
       member_add_command,
       Asks::kAdminPort},
      {"member promote",
       "NODE [flags]",
       "make a learner a voter",
       kPromoteText,
       {force},
       member_promote_command,
       Asks::kAdminPort},
      {"member remove",
       "NODE [flags]",
       "remove a server for good",
       kRemoveText,
       {force},
       member_remove_command,
       Asks::kAdminPort},
      {"member replace",
       "OLD NEW ADDRESS [flags]",
       "remove a server and add another in one step",
       kReplaceText,
       {force},
       member_replace_command,
       Asks::kAdminPort},
      {"raise-level",
       "[LEVEL]",
       "finish an upgrade: there is no way back",
       kRaiseText,
       {},
       raise_level_command,
       Asks::kAdminPort},
  };
}

}  // namespace holdfast::cli
