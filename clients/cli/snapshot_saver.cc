#include "clients/cli/snapshot_saver.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/scheduling.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/snapshot_views.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

/// How long a server may hold an answer back at most: it makes its copy first.
constexpr Duration kParkedMax = 2s;
/// After it has said that it loads its state.
constexpr Duration kLookAgain = 200ms;
constexpr uint64_t kPieceBytes = snapshot::PieceSum::kPieceBytes;

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error target(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

}  // namespace

SnapshotSaver::SnapshotSaver(const Context& context, SaveJob job)
    : context_(context), job_(std::move(job)), part_(job_.path + ".part") {}

int SnapshotSaver::run() {
  // The machine may be a server's: what it saves and verifies takes a while.
  schedule_in_background();
  // A file that grows beyond its limit is an error of the write, and nobody has to read how far it
  // is: neither ends this process with a beginning of the file left behind.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  if (const int wrong = check_target(); wrong != kExitOk) return wrong;
  heard_at_ = clock_.now();
  int exit_code = fetch();
  if (exit_code == kExitOk) exit_code = put_in_place();
  if (exit_code != kExitOk) {
    // The first error is what matters.
    [[maybe_unused]] const Status removed = snapshot::remove_database(files_, part_);
  }
  return exit_code;
}

int SnapshotSaver::check_target() {
  struct stat info {};
  if (::stat(job_.path.c_str(), &info) != 0) return kExitOk;  // whatever is wrong, writing meets it
  if (!S_ISREG(info.st_mode)) {
    return fail(target(job_.path + " is there and is no regular file"), kExitCannotWrite);
  }
  if (job_.force) return kExitOk;
  return fail(target(job_.path + " is there already; --force replaces it"), kExitCannotWrite);
}

// -------------------------------------------------------------------------------- from a server

int SnapshotSaver::fetch() {
  for (;;) {
    Piece piece = ask();
    if (signal_ != 0) return stopped();
    if (!piece.ok()) {
      if (loads(piece.error()) ? goes_round(piece.error()) : goes_on_elsewhere(piece.error()))
        continue;
      return fail(piece.error());
    }
    failures_ = 0;
    loading_ = 0;
    heard_at_ = clock_.now();
    if (piece->copy == 0) {
      wanted_ = piece->revision;
      progress_.wait("waiting until " + context_.admins[server_] + " has made a copy");
      continue;
    }
    if (const int wrong = take(*piece); wrong != kExitOk) return wrong;
    progress_.show(offset_, bytes_);
    if (offset_ == bytes_) return kExitOk;
  }
}

SnapshotSaver::Piece SnapshotSaver::ask() {
  const Duration patience =
      context_.timeout / static_cast<int64_t>(std::max<size_t>(context_.admins.size(), 1));
  // One that makes its copy says so before our patience is over.
  const Duration parked = std::min<Duration>(kParkedMax, patience / 2);
  if (client_ == nullptr) {
    client::ClientOptions options;
    if (!context_.admins.empty()) options.servers = {context_.admins[server_]};
    options.pool.follow_leader = false;
    options.pool.wait_for_a_state = false;  // goes_round() does, and says so
    auto made = client::ClientCore::create(loop_, entropy_, options);
    if (!made) return made.error();
    client_ = std::move(*made);
  }
  api::SnapshotPieceRequest request;
  request.copy = copy_;
  request.offset = static_cast<int64_t>(offset_);
  const bool local = job_.local || wanted_ != 0;
  request.consistency = local ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
  request.maxWaitMs = to_ms(parked);
  api::RequestContext context;
  if (wanted_ != 0) context.__set_minRevision(wanted_);
  std::optional<Piece> answer;
  const auto call = client_->caller().call<client::SnapshotPiece>(
      context, request, {.timeout = patience, .parked = parked, .wait_for_room = false},
      [&answer](Piece piece, const client::CallInfo&) { answer.emplace(std::move(piece)); });
  while (!answer && signal_ == 0) loop_.turn(1s);
  if (answer) return std::move(*answer);
  client_->caller().cancel(call);
  return client::CallError{};
}

bool SnapshotSaver::in_no_cluster() const {
  return client_ != nullptr && client_->pool().servers().front()->in_no_cluster;
}

bool SnapshotSaver::loads(const client::CallError& error) const {
  return error.code == ErrorCode::kNoLeader && !error.retryable && !in_no_cluster();
}

// It will have a state to give, and is not counted among those that fail; another may have one now.
// Once all have been asked they are given a moment.
bool SnapshotSaver::goes_round(const client::CallError& error) {
  if (clock_.now() >= heard_at_ + context_.timeout) return false;
  failures_ = 0;
  progress_.wait(printable(error.message));
  if (++loading_ % context_.admins.size() == 0) pause();
  if (context_.admins.size() > 1) leave_for_the_next();
  return true;
}

void SnapshotSaver::pause() {
  const Instant until = clock_.now() + kLookAgain;
  for (Instant now = clock_.now(); now < until && signal_ == 0; now = clock_.now()) {
    loop_.turn(until - now);
  }
}

// One in no cluster bids nobody wait, and speaks for itself alone.
bool SnapshotSaver::goes_on_elsewhere(const client::CallError& error) {
  const bool passes = error.retryable || in_no_cluster();
  if (!passes || ++failures_ >= context_.admins.size()) return false;
  const std::string lost = context_.admins[server_];
  leave_for_the_next();
  progress_.end();
  std::fprintf(stderr, "holdfast: %s: %s; beginning anew with %s\n", lost.c_str(),
               printable(error.message).c_str(), context_.admins[server_].c_str());
  return true;
}

void SnapshotSaver::leave_for_the_next() {
  server_ = (server_ + 1) % context_.admins.size();
  client_.reset();
  begin_anew();
}

void SnapshotSaver::begin_anew() {
  file_.reset();
  copy_ = 0;
  offset_ = 0;
}

// The piece that was asked for, or the first one of another copy.
bool SnapshotSaver::fits(const api::SnapshotPieceResult& piece) const {
  const bool other = piece.copy != copy_;
  const uint64_t offset = other ? 0 : offset_;
  const uint64_t bytes = other ? static_cast<uint64_t>(piece.bytes) : bytes_;
  return piece.bytes > 0 && static_cast<uint64_t>(piece.bytes) == bytes && bytes > offset &&
         static_cast<uint64_t>(piece.offset) == offset &&
         piece.data.size() == std::min(kPieceBytes, bytes - offset);
}

int SnapshotSaver::take(const api::SnapshotPieceResult& piece) {
  if (!fits(piece)) {
    return fail(Error{ErrorCode::kCorrupt,
                      context_.admins[server_] + " sent a piece that was not asked for"},
                kExitDamaged);
  }
  if (piece.copy != copy_) {
    begin_anew();
    copy_ = piece.copy;
    cluster_ = piece.header.clusterId;
    revision_ = piece.revision;
    bytes_ = static_cast<uint64_t>(piece.bytes);
    sum_ = static_cast<uint64_t>(piece.sum);
    file_ = std::make_unique<snapshot::ReceivedFile>(files_, part_);
  }
  if (Status written = file_->append(piece.data); !written.ok()) {
    return fail(written.error(), kExitCannotWrite);
  }
  offset_ += piece.data.size();
  return kExitOk;
}

// ----------------------------------------------------------------------------------- to the file

int SnapshotSaver::put_in_place() {
  progress_.end();
  if (Status whole = file_->finish(sum_); !whole.ok()) {
    const bool altered = whole.error().code == ErrorCode::kCorrupt;
    return fail(whole.error(), altered ? kExitDamaged : kExitCannotWrite);
  }
  auto file = look_at(part_);
  if (!file.ok()) return report_snapshot(file.error());
  const bool as_named = file->head.applied.value == static_cast<uint64_t>(revision_) &&
                        file->head.cluster.value == static_cast<uint64_t>(cluster_);
  if (!as_named) {
    return fail(Error{ErrorCode::kCorrupt,
                      "the server named revision " + std::to_string(revision_) + " of cluster " +
                          std::to_string(cluster_) + ", but sent " + describe(*file)},
                kExitDamaged);
  }
  // Verifying takes its time: the signals that came meanwhile, and what came to stand there.
  loop_.turn(Duration(0));
  if (signal_ != 0) return stopped();
  if (const int wrong = check_target(); wrong != kExitOk) return wrong;
  auto done = files_.rename(part_, job_.path);
  if (done) done = files_.sync_directory(directory_of(job_.path));
  if (!done) return fail(done.error().to_error(), kExitCannotWrite);
  file->path = job_.path;
  tell(*file);
  return kExitOk;
}

void SnapshotSaver::tell(const loading::SnapshotFile& file) {
  if (context_.json) return print_json(to_json(file));
  std::printf("%s: saved and verified: %s\n", file.path.c_str(), describe(file).c_str());
}

int SnapshotSaver::fail(const client::CallError& error) {
  progress_.end();
  return report(error);
}

int SnapshotSaver::fail(const Error& error, int exit_code) {
  progress_.end();
  std::fprintf(stderr, "holdfast: %s\n", error.message.c_str());
  return exit_code;
}

int SnapshotSaver::stopped() {
  return fail(
      target("signal " + std::to_string(signal_) + " ended it; " + job_.path + " was not written"),
      kExitSignal + signal_);
}

}  // namespace holdfast::cli
