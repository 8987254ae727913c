// rm.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/key_args.h"

namespace holdfast::cli {
namespace {

/// Nothing, or why it ended.
using Ending = std::optional<client::CallError>;

/// Of a transaction: its steps are at most 1,024.
constexpr int32_t kChildrenAtOnce = 1'000;
constexpr Duration kToldEvery = 1s;

struct RemoveWish {
  api::RemoveRequest request;
  bool in_parts = false;
};

Result<RemoveWish> make_wish(const Args& args) {
  if (const Status status = only_a_path(args); !status) return status.error();
  const auto path = key_path(args, false);
  if (!path) return path.error();
  const auto version = version_of(args);
  if (!version) return version.error();
  RemoveWish wish;
  wish.in_parts = args.has("in-parts");
  wish.request.path = *path;
  wish.request.expectedVersion = *version;
  wish.request.recursive = args.has("recursive");
  if (wish.in_parts && (!wish.request.recursive || args.has("version"))) {
    return Error{ErrorCode::kBadArgument, "--in-parts needs --recursive, and takes no --version"};
  }
  return wish;
}

/// Removes more keys than one entry may, from the leaves up. Others see it half removed, and may
/// change what is left meanwhile: what has gone by itself is as good as removed.
class PartRemover {
 public:
  explicit PartRemover(Remote& remote) : remote_(remote) {}

  /// The key at `path` and all below it.
  Ending clear(const std::string& path) {
    for (;;) {
      api::RemoveRequest request;
      request.path = path;
      request.recursive = true;
      const auto whole = remote_.write<client::RemoveKey>(request);
      if (whole) return note(whole->removed, whole->revision);
      const bool gone = whole.error().code == ErrorCode::kNoKey && removed_ > 0;
      if (gone) return std::nullopt;
      if (whole.error().code != ErrorCode::kLimitExceeded) return whole.error();
      if (const Ending ending = clear_some_below(path)) return ending;
    }
  }
  int64_t removed() const { return removed_; }
  int64_t revision() const { return revision_; }

 private:
  Ending clear_some_below(const std::string& path) {
    api::ListKeysRequest request;
    request.path = path;
    request.pageSize = kChildrenAtOnce;
    const auto page = remote_.read<client::ListKeys>(request);
    if (!page && page.error().code == ErrorCode::kNoKey) return std::nullopt;
    if (!page) return page.error();
    api::TransactRequest leaves;
    for (const api::KeyEntry& key : page->keys) {
      if (key.stat.childCount > 0) {
        if (const Ending ending = clear(key.path)) return ending;
      } else {
        api::Operation step;
        step.__isset.remove = true;
        step.remove.path = key.path;
        leaves.thenOperations.push_back(std::move(step));
      }
    }
    return leaves.thenOperations.empty() ? std::nullopt : remove_leaves(leaves);
  }
  /// One of them may be gone or have children by now: then the next list knows.
  Ending remove_leaves(const api::TransactRequest& leaves) {
    const auto answer = remote_.write<client::Transact>(leaves);
    if (answer) return note(static_cast<int64_t>(answer->results.size()), answer->revision);
    const ErrorCode code = answer.error().code;
    if (code == ErrorCode::kNoSpace) return remove_one_by_one(leaves);
    const bool changed = code == ErrorCode::kNoKey || code == ErrorCode::kNotEmpty;
    return changed ? std::nullopt : Ending(answer.error());
  }
  /// A full disk takes removes that stand alone, and no transactions.
  Ending remove_one_by_one(const api::TransactRequest& leaves) {
    for (const api::Operation& step : leaves.thenOperations) {
      const auto answer = remote_.write<client::RemoveKey>(step.remove);
      if (answer) {
        note(answer->removed, answer->revision);
        continue;
      }
      const ErrorCode code = answer.error().code;
      if (code != ErrorCode::kNoKey && code != ErrorCode::kNotEmpty) return answer.error();
    }
    return std::nullopt;
  }
  Ending note(int64_t removed, int64_t revision) {
    removed_ += removed;
    revision_ = revision;
    if (clock_.now() - told_ >= kToldEvery) {
      told_ = clock_.now();
      std::fprintf(stderr, "holdfast: %lld keys removed so far\n",
                   static_cast<long long>(removed_));
    }
    return std::nullopt;
  }

  Remote& remote_;
  SystemClock clock_;
  Instant told_ = clock_.now();
  int64_t removed_ = 0;
  int64_t revision_ = 0;
};

int print_removed(const RemoveWish& wish, int64_t removed, int64_t revision, bool as_json) {
  if (as_json) {
    print_json({{"path", wish.request.path}, {"removed", removed}, {"revision", revision}});
  } else {
    std::printf("%lld key%s removed\n", static_cast<long long>(removed), removed == 1 ? "" : "s");
  }
  return kExitOk;
}

int remove_in_parts(Remote& remote, const RemoveWish& wish, bool as_json) {
  PartRemover remover(remote);
  Ending ending = remover.clear(wish.request.path);
  if (!ending) return print_removed(wish, remover.removed(), remover.revision(), as_json);
  if (remover.removed() > 0) {
    ending->message += "; " + std::to_string(remover.removed()) +
                       " keys were removed before, the same command goes on with the rest";
  }
  return report(*ending);
}

}  // namespace

int remove_command(const Args& args, const Context& context) {
  const auto wish = make_wish(args);
  if (!wish) return report(wish.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  if (wish->in_parts) return remove_in_parts(**remote, *wish, context.json);
  const auto answer = (*remote)->write<client::RemoveKey>(wish->request);
  if (answer) return print_removed(*wish, answer->removed, answer->revision, context.json);
  client::CallError refusal = answer.error();
  if (refusal.code == ErrorCode::kLimitExceeded) {
    refusal.message += "; --in-parts removes them one part after the other";
  }
  return report(refusal);
}

}  // namespace holdfast::cli
