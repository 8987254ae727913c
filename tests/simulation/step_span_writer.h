// The simulator's way to a snapshot: nothing is written before run_one(), nor looked for before
// look_now().
#pragma once

#include <optional>
#include <utility>

#include "base/check.h"
#include "coordinator/snapshot/span_writer.h"

namespace holdfast::sim {

class StepSpanWriter final : public snapshot::SpanWriter {
 public:
  /// `store` outlives it and is used by nobody else.
  explicit StepSpanWriter(snapshot::SnapshotStore& store) : store_(store) {}

  void submit(snapshot::Span span) override {
    HF_CHECK(!span_ && !outcome_, "a span is under way");
    span_ = std::move(span);
  }
  std::optional<Result<snapshot::WrittenSpan>> collect() override {
    return std::exchange(outcome_, std::nullopt);
  }
  std::optional<Error> obstacle() const override { return obstacle_; }
  std::optional<snapshot::Span> recall() override {
    return obstacle_ ? std::exchange(span_, std::nullopt) : std::nullopt;
  }
  void hurry(bool) override {}
  void look() override { to_look_ = true; }
  bool moved() const override { return moved_; }

  /// Which state the span leads to that is to be written; none if nothing is.
  std::optional<LogIndex> owes() const {
    return span_ ? std::optional(span_->head.applied) : std::nullopt;
  }
  bool is_to_look() const { return to_look_; }
  /// What moved() says from now on.
  bool look_now() {
    to_look_ = false;
    return moved_ = store_.has_moved();
  }
  /// Tries to write it. What comes of it, unless there is an obstacle.
  const std::optional<Result<snapshot::WrittenSpan>>& run_one() {
    Result<snapshot::WrittenSpan> written = store_.write(*span_);
    obstacle_.reset();
    const bool passes = !written.ok() && (written.error().code == ErrorCode::kNoSpace ||
                                          written.error().code == ErrorCode::kOverloaded);
    if (passes) {
      obstacle_ = written.error();
      span_->rows.keep_latest();
    } else {
      moved_ = false;
      outcome_ = std::move(written);
      span_.reset();
    }
    return outcome_;
  }

 private:
  snapshot::SnapshotStore& store_;
  std::optional<snapshot::Span> span_;
  std::optional<Result<snapshot::WrittenSpan>> outcome_;
  std::optional<Error> obstacle_;
  bool to_look_ = false;
  bool moved_ = false;
};

}  // namespace holdfast::sim
