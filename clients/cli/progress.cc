#include "clients/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "clients/cli/snapshot_views.h"

namespace holdfast::cli {
namespace {

constexpr Duration kBarEvery = 100ms;
constexpr Duration kLineEvery = 1s;
constexpr size_t kBarColumns = 30;

std::string bar(uint64_t done, uint64_t all) {
  const auto filled = static_cast<size_t>(kBarColumns * done / std::max<uint64_t>(all, 1));
  char text[64];
  std::snprintf(text, sizeof text, "[%s%s] %3u%%  ", std::string(filled, '#').c_str(),
                std::string(kBarColumns - filled, '.').c_str(),
                static_cast<unsigned>(100 * done / std::max<uint64_t>(all, 1)));
  return text;
}

}  // namespace

Progress::Progress(Clock& clock)
    : clock_(clock), terminal_(isatty(STDERR_FILENO) == 1), shown_at_(clock.now()) {}

bool Progress::due() {
  const Instant now = clock_.now();
  if (now - shown_at_ < (terminal_ ? kBarEvery : kLineEvery)) return false;
  shown_at_ = now;
  return true;
}

void Progress::print(const std::string& text) {
  if (terminal_) {
    std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
    open_line_ = true;
  } else {
    std::fprintf(stderr, "holdfast: %s\n", text.c_str());
  }
}

void Progress::show(uint64_t done, uint64_t all) {
  if (!began_ || done < began_->done) began_ = {clock_.now(), done};
  if (!due()) return;
  std::string text =
      (terminal_ ? bar(done, all) : "") + format_bytes(done) + " of " + format_bytes(all);
  // How long the first piece took nobody knows: the wait for the copy was part of the same call.
  if (done > began_->done) {
    const double seconds = std::chrono::duration<double>(clock_.now() - began_->at).count();
    const auto bytes = static_cast<double>(done - began_->done);
    text += ", " + format_bytes(static_cast<uint64_t>(bytes / std::max(seconds, 0.001))) + "/s";
  }
  print(text);
}

void Progress::wait(const std::string& why) {
  began_.reset();
  if (due()) print(why);
}

void Progress::end() {
  if (open_line_) std::fprintf(stderr, "\n");
  open_line_ = false;
}

}  // namespace holdfast::cli
