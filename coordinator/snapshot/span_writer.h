// The way from the loop thread to the snapshot's disk: one span at a time is handed over, and
// becomes durable while the loop goes on.
#pragma once

#include <optional>

#include "base/error.h"
#include "coordinator/snapshot/store.h"

namespace holdfast::snapshot {

/// Port of the engine. Loop thread.
class SpanWriter {
 public:
  virtual ~SpanWriter() = default;
  /// Not before the outcome of the last one was collected.
  virtual void submit(Span span) = 0;
  /// The outcome of what was submitted, once: nothing while it is under way. After an error the
  /// process must end, because nobody knows what is on the disk.
  virtual std::optional<Result<WrittenSpan>> collect() = 0;
  /// Why the span under way cannot be written now: NO_SPACE, or another process holds the database
  /// (OVERLOADED). It is tried again.
  virtual std::optional<Error> obstacle() const = 0;
  /// The span for which there is an obstacle, to go with a later one: of each row its last change.
  /// None while it is being tried.
  virtual std::optional<Span> recall() = 0;
  /// The disk is given pauses while a span is written, unless it is urgent.
  virtual void hurry(bool urgent) = 0;
  /// What was written last is to be looked for where it was written, beside the loop: nobody else
  /// notices that somebody has removed it or put something else in its place.
  virtual void look() = 0;
  /// So it was found: the next span, which may have no rows, writes all of it anew.
  virtual bool moved() const = 0;
};

}  // namespace holdfast::snapshot
