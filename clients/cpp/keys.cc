#include "clients/cpp/keys.h"

#include <iterator>
#include <utility>

#include "clients/cpp/holdfast.h"
#include "clients/cpp/loop_thread.h"

namespace holdfast::client {

template <class Call>
Outcome<typename Call::Result> Keys::read(typename Call::Request request,
                                          int64_t min_revision) const {
  using Answer = Outcome<typename Call::Result>;
  return thread_->wait<Answer>([thread = thread_.get(), request, min_revision](auto done) {
    thread->core().template read<Call>(
        request, [done](const Answer& outcome, const CallInfo&) { done(outcome); }, min_revision);
  });
}

template <class Call>
Outcome<typename Call::Result> Keys::write(typename Call::Request request) const {
  using Answer = Outcome<typename Call::Result>;
  return thread_->wait<Answer>([thread = thread_.get(), session = session_, request](auto done) {
    const auto answered = [done](const Answer& outcome, const CallInfo&) { done(outcome); };
    if (session != nullptr) return session->command<Call>(request, answered);
    thread->core().template write<Call>(request, answered);
  });
}

// --------------------------------------------------------------------------------------- reads

Outcome<api::GetResult> Keys::get(const std::string& path, const ReadOptions& options) const {
  api::GetRequest request;
  request.path = path;
  request.consistency = options.consistency;
  request.statOnly = options.stat_only;
  return read<GetKey>(std::move(request), options.min_revision);
}

Outcome<api::GetManyResult> Keys::get_many(const std::vector<std::string>& paths,
                                           const ReadOptions& options) const {
  api::GetManyRequest request;
  request.paths = paths;
  request.consistency = options.consistency;
  request.statOnly = options.stat_only;
  return read<GetKeys>(std::move(request), options.min_revision);
}

Outcome<api::ListKeysResult> Keys::list_page(const std::string& path, const ListOptions& options,
                                             const std::string& page) const {
  api::ListKeysRequest request;
  request.path = path;
  request.subtree = options.subtree;
  request.withValues = options.with_values;
  request.page = page;
  request.pageSize = options.page_size;
  request.consistency = options.consistency;
  return read<ListKeys>(std::move(request), options.min_revision);
}

Outcome<std::vector<api::KeyEntry>> Keys::list(const std::string& path,
                                               const ListOptions& options) const {
  std::vector<api::KeyEntry> all;
  std::string next;
  do {
    auto page = list_page(path, options, next);
    if (!page) return page.error();
    std::move(page->keys.begin(), page->keys.end(), std::back_inserter(all));
    next = page->nextPage;
  } while (!next.empty());
  return all;
}

Outcome<api::WaitForChangeResult> Keys::wait_for_change(const std::string& path,
                                                        int64_t after_revision,
                                                        Duration max_wait) const {
  using Answer = Outcome<api::WaitForChangeResult>;
  api::WaitForChangeRequest request;
  request.path = path;
  request.afterRevision = after_revision;
  request.maxWaitMs = to_ms(max_wait);
  return thread_->wait<Answer>([thread = thread_.get(), request](auto done) {
    thread->core().wait_for_change(
        request, [done](const Answer& outcome, const CallInfo&) { done(outcome); });
  });
}

// -------------------------------------------------------------------------------------- writes

Outcome<api::PutResult> Keys::put(const std::string& path, const std::string& value,
                                  const PutOptions& options) const {
  api::PutRequest request;
  request.path = path;
  request.value = value;
  request.expectedVersion = options.expected_version;
  request.makeParents = options.make_parents;
  request.guard = options.guard;
  return write<PutKey>(std::move(request));
}

Outcome<api::CreateResult> Keys::create(const std::string& path, const std::string& value,
                                        const CreateOptions& options) const {
  api::CreateRequest request;
  request.path = path;
  request.value = value;
  request.kind = options.kind;
  request.sequential = options.sequential;
  request.ttlMs = to_ms(options.ttl);
  request.makeParents = options.make_parents;
  request.guard = options.guard;
  return write<CreateKey>(std::move(request));
}

Outcome<api::RemoveResult> Keys::remove(const std::string& path,
                                        const RemoveOptions& options) const {
  api::RemoveRequest request;
  request.path = path;
  request.expectedVersion = options.expected_version;
  request.recursive = options.recursive;
  request.guard = options.guard;
  return write<RemoveKey>(std::move(request));
}

Outcome<api::TransactResult> Keys::transact(const api::TransactRequest& request) const {
  return write<Transact>(request);
}

// ------------------------------------------------------------------------------------- watches

Watch::Watch(Watch&& other) noexcept { *this = std::move(other); }

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this == &other) return *this;
  stop();
  thread_ = std::move(other.thread_);
  session_ = std::move(other.session_);
  number_ = std::exchange(other.number_, 0);
  revision_ = other.revision_;
  return *this;
}

Watch::~Watch() { stop(); }

void Watch::stop() {
  const int64_t number = std::exchange(number_, 0);
  if (number == 0) return;
  if (thread_->is_current()) return session_->unwatch(number);
  thread_->wait<bool>([session = session_, number](auto done) {
    session->unwatch(number);
    done(true);
  });
}

}  // namespace holdfast::client
