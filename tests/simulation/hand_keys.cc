// What a hand reads of keys: it must be the state at the revision that is named (I20). And the
// watches that it begins, which are in watch_keeper.cc. What it writes is in hand_writes.cc.
#include <algorithm>

#include "tests/simulation/hand.h"
#include "tests/simulation/key_space.h"
#include "tests/simulation/watch_keeper.h"

namespace holdfast::sim {

namespace {

/// So many pages are read of a list at most.
constexpr int kPagesMax = 8;

}  // namespace

// -------------------------------------------------------------------------------------- reads

void Hand::get() {
  api::GetRequest request;
  request.path = key_path(op_.path);
  request.consistency = consistency();
  SimNode& node = client_.pick();
  const int64_t floor = read_floor();
  const bool ahead = op_.local != 0 && node.up() && !node.has_applied(floor);
  client_.ask_at<api::GetRequest>(
      node, request, read_context(), 3s,
      [this, request, floor, ahead](const Outcome<api::GetResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        if (ahead) client_.world().mark(Mark::kKeyReadParked);
        take_read(request, *outcome.result, floor);
        finish();
      });
}

void Hand::take_read(const api::GetRequest& request, const api::GetResult& result, int64_t floor) {
  const int64_t revision = result.header.revision;
  client_.ledger().check_read(floor, revision, name_ + "'s get");
  client_.note(result.header);
  client_.history().keys().judge_read(name_, request.path, result.found, result.key, revision);
  versions_[request.path] = result.found ? result.key.stat.version : 1;
}

/// Several at one revision.
void Hand::get_many() {
  api::GetManyRequest request;
  for (size_t i = 0; i < kKeyPaths.size(); ++i) {
    if ((op_.mask >> i & 1) != 0) request.paths.emplace_back(kKeyPaths[i]);
  }
  if (request.paths.empty()) return finish();
  request.consistency = consistency();
  client_.ask<api::GetManyRequest>(
      request, read_context(), 3s,
      [this, request, floor = read_floor()](const Outcome<api::GetManyResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        client_.ledger().check_read(floor, outcome.result->header.revision, name_ + "'s getMany");
        client_.note(outcome.result->header);
        judge_many(request, *outcome.result);
        finish();
      });
}

void Hand::judge_many(const api::GetManyRequest& request, const api::GetManyResult& result) const {
  const int64_t revision = result.header.revision;
  if (result.keys.size() != request.paths.size()) {
    throw Broken(Rule::kI20, name_ + " asked for " + std::to_string(request.paths.size()) +
                                 " keys and was shown " + std::to_string(result.keys.size()));
  }
  bool fresh = false;
  for (size_t i = 0; i < result.keys.size(); ++i) {
    const api::KeyLookup& shown = result.keys[i];
    client_.history().keys().judge_read(name_, request.paths[i], shown.found, shown.key, revision);
    fresh |= shown.found && shown.key.stat.modifyRevision == revision;
  }
  if (fresh && result.keys.size() > 1) client_.world().mark(Mark::kManyAtChange);
}

api::Consistency::type Hand::consistency() const {
  return op_.local != 0 ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
}

void Hand::list_keys() {
  pages_ = 0;
  list_page({}, 0);
}

void Hand::list_page(const std::string& page, int64_t before) {
  api::ListKeysRequest request;
  request.path = op_.parents != 0 ? "/" : key_path(op_.path);
  request.subtree = op_.recursive != 0;
  request.withValues = true;
  request.page = page;
  request.pageSize = static_cast<int32_t>(op_.page);
  request.consistency = consistency();
  client_.ask<api::ListKeysRequest>(
      request, read_context(), 3s,
      [this, request, before, floor = read_floor()](const Outcome<api::ListKeysResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        const api::ListKeysResult& result = *outcome.result;
        client_.ledger().check_read(floor, result.header.revision, name_ + "'s page");
        client_.note(result.header);
        judge_page(request, result);
        const auto changes = client_.history().keys().after(before);
        const bool changed =
            before != 0 && !changes.empty() && changes.front().revision <= result.header.revision;
        if (changed) client_.world().mark(Mark::kPagesOverChange);
        if (result.nextPage.empty() || ++pages_ == kPagesMax) return finish();
        list_page(result.nextPage, result.header.revision);
      });
}

/// The next so many keys after the last page, whatever has become of that.
void Hand::judge_page(const api::ListKeysRequest& request,
                      const api::ListKeysResult& result) const {
  const KeyHistory& keys = client_.history().keys();
  const int64_t revision = result.header.revision;
  std::vector<std::string> expected = keys.below(request.path, !request.subtree, revision);
  std::erase_if(expected, [&](const std::string& path) {
    return !request.page.empty() && !TreeOrder()(request.page, path);
  });
  const size_t size = std::min(expected.size(), static_cast<size_t>(request.pageSize));
  const bool more = size < expected.size();
  const auto refuse = [&](const std::string& what) {
    throw Broken(Rule::kI20, name_ + " was given a page of the keys below " + request.path +
                                 " at revision " + std::to_string(revision) + " " + what);
  };
  if (result.keys.size() != size) refuse("with too few or too many keys");
  for (size_t i = 0; i < size; ++i) {
    keys.judge_read(name_, expected[i], true, result.keys[i], revision);
  }
  if (result.nextPage != (more ? expected[size - 1] : "")) refuse("with a wrong next page");
}

/// Repeated until a server says that it changed, or did not for so long.
void Hand::await_change(int64_t after, Duration end) {
  api::WaitForChangeRequest request;
  request.path = key_path(op_.path);
  request.afterRevision = after;
  request.maxWaitMs = std::max<int64_t>(0, to_ms(end - client_.world().now()));
  if (client_.quiescent()) request.maxWaitMs = 0;
  SimNode& node = client_.pick();
  const bool up = node.up();
  const Term term = up ? node.core().term() : Term{};
  client_.ask_at<api::WaitForChangeRequest>(
      node, request, {}, from_ms(request.maxWaitMs) + 2s,
      [this, request, end, up, term, life = node.life(), &node,
       turn = turn_](const Outcome<api::WaitForChangeResult>& outcome) {
        if (turn != turn_) return;
        if (outcome.result == nullptr) {
          return client_.later(20ms, [this, request, end, turn] {
            if (turn == turn_) await_change(request.afterRevision, end);
          });
        }
        const bool over = up && node.up() && node.life() == life && node.core().term() > term;
        if (over) client_.world().mark(Mark::kAwaitFailover);
        judge_wait(request, *outcome.result);
        finish();
      });
}

void Hand::judge_wait(const api::WaitForChangeRequest& request,
                      const api::WaitForChangeResult& result) const {
  const int64_t revision = result.header.revision;
  const KeyHistory& keys = client_.history().keys();
  client_.ledger().check_read(request.afterRevision, revision, name_ + "'s wait");
  client_.note(result.header);
  keys.judge_read(name_, request.path, result.found, result.key, revision);
  if (result.changed) return;
  for (const KeyHistory::Entry& entry : keys.after(request.afterRevision)) {
    if (entry.revision > revision) return;
    for (const api::WatchEvent& event : entry.events) {
      const bool key = event.eventType < api::EventType::LOCK_GRANTED;
      if (!key || event.path != request.path) continue;
      throw Broken(Rule::kI20, name_ + " was told that " + request.path + " did not change from " +
                                   std::to_string(request.afterRevision) + " to " +
                                   std::to_string(revision) + "; it did at " +
                                   std::to_string(entry.revision));
    }
  }
}

// ------------------------------------------------------------------------------------ watches

/// The watch lives on beside the hand; it may rest in between, as if nobody read it.
void Hand::watch() {
  WatchSpec spec;
  spec.path = watched_path(op_.path);
  spec.scope = static_cast<api::WatchScope::type>(op_.scope);
  spec.space = static_cast<api::WatchSpace::type>(op_.space);
  spec.values = op_.value != 0;
  for (int type = 1; type <= 5; ++type) {
    const bool wanted = (op_.filter >> type & 1) != 0;
    if (wanted) spec.filter.push_back(static_cast<api::EventType::type>(type));
  }
  const int64_t last = client_.last_revision();
  const int64_t since[] = {0, last, last / 2, last + 3};
  WatchKeeper& watches = client_.watches();
  const int watch = watches.begin(spec, since[op_.since]);
  if (watch == 0) return finish();
  tell(sim::describe(op_));
  if (op_.rest_ms > 0) {
    client_.later(from_ms(op_.hold_ms / 3), [&watches, watch] { watches.rest(watch); });
    client_.later(from_ms(op_.hold_ms / 3 + op_.rest_ms),
                  [&watches, watch] { watches.wake(watch); });
  }
  client_.later(from_ms(op_.hold_ms), [&watches, watch] { watches.end(watch); });
  finish();
}

}  // namespace holdfast::sim
