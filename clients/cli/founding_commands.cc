// snapshot restore, recover: a new cluster out of a saved snapshot or of a server that survived.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/count_text.h"
#include "base/entropy.h"
#include "base/net/address.h"
#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/snapshot_views.h"
#include "clients/cli/table.h"
#include "coordinator/founding/survivor.h"
#include "raft/storage/data_directory.h"
#include "raft/storage/posix_file_system.h"

namespace holdfast::cli {
namespace {

using founding::Founded;
using founding::Founder;
using founding::State;
using founding::Survivor;

/// As holdfastd's --node_id has it: no server starts from another one's directory.
constexpr int64_t kHoldMsMax = 7 * 86'400'000;
/// Longer than the sessions of most clients live: for those that the state knows nothing of.
constexpr const char* kHold = "30s";

int fail(const Error& error) {
  std::fprintf(stderr, "holdfast: %s\n", printable(error.message).c_str());
  switch (error.code) {
    case ErrorCode::kBadArgument:
      return kExitUsage;
    case ErrorCode::kUnsupported:
      return kExitRefused;
    case ErrorCode::kCorrupt:
      return kExitDamaged;
    default:
      return kExitCannotWrite;
  }
}

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

/// The disk and the rest of the machine.
struct Machine {
  // A file that may not grow is an error to tell, like a full disk.
  Machine() { std::signal(SIGXFSZ, SIG_IGN); }

  SystemClock clock;
  SystemEntropy entropy;
  raft::PosixFileSystem files;
  founding::Ports ports() { return {files, entropy, clock.wall_unix_ms()}; }
};

/// The new directory is the last thing that is made. What can be told of it is told first: before a
/// snapshot is verified, a log replayed, or a person asked. Nothing is made for it.
Status judge_target(raft::FileSystem& files, const std::string& path) {
  if (Status begins = raft::DataDirectory::check_beginning(files, path); !begins.ok()) {
    return begins;
  }
  auto there = files.exists(path);
  const size_t slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string& written = there && *there ? path : parent;
  if (::access(written.c_str(), W_OK | X_OK) == 0) return ok_status();
  return Error{ErrorCode::kDiskFailed,
               "the data directory " + path + " cannot be written: " +
                   raft::IoError{errno, "access", written, ""}.to_error().message};
}

// ------------------------------------------------------------------------------------- flags

Result<std::string> needed(const Args& args, const char* flag, const char* example) {
  std::string value = args.get(flag);
  while (value.size() > 1 && value.ends_with('/')) value.pop_back();
  if (!value.empty()) return value;
  return bad(std::string("--") + flag + " is needed, such as --" + flag + "=" + example);
}

/// What others are told to dial: the flag's, or what the old cluster knew.
Result<std::string> address_of(const Args& args, const char* flag, const std::string& known) {
  const std::string text = args.get(flag, known);
  if (text.empty()) {
    return bad(std::string("--") + flag + "=HOST:PORT is needed: the old cluster knows none of " +
               "this node");
  }
  const auto address = net::parse_address(text);
  if (!address.ok()) return bad(std::string("--") + flag + ": " + address.error().message);
  if (net::is_wildcard(*address)) {
    return bad(std::string("--") + flag + "=" + text + " names no host that others could dial");
  }
  if (address->port != 0) return text;
  return bad(std::string("--") + flag + "=" + text + " names no port that could be dialled");
}

Result<NodeId> node_of(const Args& args) {
  const auto text = needed(args, "node_id", "1");
  if (!text.ok()) return text.error();
  const auto number = parse_number("--node_id", *text, 1, kNodeIdMax);
  if (!number.ok()) return number.error();
  return NodeId(static_cast<uint64_t>(*number));
}

Result<int64_t> hold_of(const Args& args) {
  const auto hold = parse_duration("--restore_hold", args.get("restore_hold", kHold));
  if (!hold.ok()) return hold.error();
  if (to_ms(*hold) <= kHoldMsMax) return to_ms(*hold);
  return bad("--restore_hold=" + args.get("restore_hold") + " is longer than 168h");
}

Result<Founder> founder_of(const Args& args, NodeId node, const raft::Member& known) {
  const auto peer = address_of(args, "peer_address", known.peer_address);
  if (!peer.ok()) return peer.error();
  const auto client = address_of(args, "client_address", known.client_address);
  if (!client.ok()) return client.error();
  const auto hold = hold_of(args);
  if (!hold.ok()) return hold.error();
  return Founder{node, *peer, *client, *hold};
}

// ------------------------------------------------------------------------------------- words

void tell(const Founded& founded, const Founder& founder, const std::string& from,
          const std::string& directory, bool as_json) {
  if (as_json) {
    return print_json({{"from", from},
                       {"data_dir", directory},
                       {"cluster_id", founded.cluster.value},
                       {"node_id", founder.node.value},
                       {"peer_address", founder.peer_address},
                       {"client_address", founder.client_address},
                       {"first_revision", founded.first.value},
                       {"sessions_ended", founded.sessions},
                       {"hold_ms", founded.hold_ms}});
  }
  const std::string node = std::to_string(founder.node.value);
  std::printf("%s: node %s is the one member of the new cluster %llu, made from %s\n",
              directory.c_str(), node.c_str(),
              static_cast<unsigned long long>(founded.cluster.value), from.c_str());
  std::printf("its first entry, %llu, ends %s; no lock is granted for %s from then on\n",
              static_cast<unsigned long long>(founded.first.value),
              count_text(founded.sessions, "session", "sessions").c_str(),
              format_ms(founded.hold_ms).c_str());
  std::printf(
      "start it:  holdfastd --node_id=%s --data_dir=%s --client_address=%s "
      "--peer_address=%s\n",
      node.c_str(), directory.c_str(), founder.client_address.c_str(),
      founder.peer_address.c_str());
  std::printf(
      "as the user who made the directory, without --initial_cluster, and with the other flags of "
      "that\n"
      "server too: --admin_address and --http_address if they are not to be 127.0.0.1:7413 and "
      ":7414,\n"
      "--insecure if an address is beyond loopback\n");
  std::printf(
      "then join empty servers to it: doing this twice makes two clusters, and neither "
      "takes in the other's server\n");
}

/// That the others went on without it.
void warn_outsider(const Survivor& survivor) {
  if (survivor.removed) {
    std::fprintf(stderr,
                 "Its own log says that it was REMOVED from that cluster at entry %llu, and the "
                 "others went on without it.\n",
                 static_cast<unsigned long long>(survivor.removed->index.value));
  } else if (!survivor.self.id) {
    std::fprintf(stderr,
                 "As far as its log goes it is no member of that cluster, and the others may have "
                 "gone on without it.\n");
  }
}

/// What is kept, and what cannot be known.
void warn(const Survivor& survivor, const std::string& into) {
  const uint64_t behind = survivor.last.value - survivor.snapshot.value;
  std::fprintf(
      stderr,
      "node %llu of cluster %llu: its snapshot is the state after entry %llu, its log ends with "
      "entry %llu of term %llu.\n"
      "All of it is kept. Nobody can tell what of the log behind the snapshot, %s, was "
      "committed:\n"
      "  what was never acknowledged to a client may come to be done;\n"
      "  what only the lost servers had is gone, even if it was acknowledged.\n"
      "If another server survived whose log ends with a later term, or with a later entry of the "
      "same, take that one.\n"
      "No server of the old cluster may ever run beside the new one. %s is not changed; the new "
      "directory is %s.\n",
      static_cast<unsigned long long>(survivor.directory->node().value),
      static_cast<unsigned long long>(survivor.cluster.value),
      static_cast<unsigned long long>(survivor.snapshot.value),
      static_cast<unsigned long long>(survivor.last.value),
      static_cast<unsigned long long>(survivor.state.last_term.value),
      count_text(behind, "entry", "entries").c_str(), survivor.directory->path().c_str(),
      into.c_str());
}

bool confirmed(const Args& args, const Survivor& survivor) {
  if (args.has("yes")) return true;
  const std::string wanted = std::to_string(survivor.cluster.value);
  std::fprintf(stderr, "Type the old cluster's id, %s, to go on: ", wanted.c_str());
  std::string typed;
  std::getline(std::cin, typed);
  if (typed == wanted) return true;
  std::fprintf(stderr, "\nholdfast: not confirmed, nothing was done\n");
  return false;
}

raft::Member known_member(const std::vector<raft::Member>& members, NodeId node) {
  for (const raft::Member& member : members) {
    if (member.id == node) return member;
  }
  return {};
}

}  // namespace

int snapshot_restore_command(const Args& args, const Context& context) {
  if (args.words.size() != 1) return fail(bad("one FILE is needed, which snapshot save wrote"));
  const auto directory = needed(args, "data_dir", "./holdfast-data");
  if (!directory.ok()) return fail(directory.error());
  const auto node = node_of(args);
  if (!node.ok()) return fail(node.error());
  Machine machine;
  if (const Status fits = judge_target(machine.files, *directory); !fits.ok()) {
    return fail(fits.error());
  }
  auto file = look_at(args.words[0]);
  if (!file.ok()) return report_snapshot(file.error());
  const auto founder = founder_of(args, *node, known_member(file->members, *node));
  if (!founder.ok()) return fail(founder.error());
  auto database = real_file(args.words[0]);
  if (!database.ok()) return report_snapshot(database.error());
  State state;
  state.machine = std::move(file->machine);
  state.term = state.last_term = file->head.applied_term;
  state.database = std::move(*database);
  const auto founded =
      founding::found_cluster(machine.ports(), std::move(state), *founder, *directory);
  if (!founded.ok()) return fail(founded.error());
  tell(*founded, *founder, file->path, *directory, context.json);
  return kExitOk;
}

int recover_command(const Args& args, const Context& context) {
  if (!args.has("force-new-cluster") || !args.words.empty()) {
    return fail(
        bad("recover takes --force-new-cluster, and no words: it makes a new cluster out "
            "of one server, for when most servers are lost for good"));
  }
  const auto directory = needed(args, "data_dir", "./holdfast-data");
  if (!directory.ok()) return fail(directory.error());
  const std::string into = args.get("into", *directory + ".recovered");
  const auto node = node_of(args);
  if (!node.ok()) return fail(node.error());
  Machine machine;
  if (const Status fits = judge_target(machine.files, into); !fits.ok()) return fail(fits.error());
  auto survivor = founding::open_survivor(machine.ports(), *directory, *node);
  if (!survivor.ok()) return fail(survivor.error());
  const auto founder = founder_of(args, *node, survivor->self);
  if (!founder.ok()) return fail(founder.error());
  warn(*survivor, into);
  warn_outsider(*survivor);
  if (!confirmed(args, *survivor)) return kExitRefused;
  const auto founded =
      founding::found_cluster(machine.ports(), std::move(survivor->state), *founder, into);
  if (!founded.ok()) return fail(founded.error());
  tell(*founded, *founder, *directory, into, context.json);
  return kExitOk;
}

}  // namespace holdfast::cli
