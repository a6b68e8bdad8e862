#include <troupe/process/output_digest.hpp>

#include <algorithm>

namespace troupe::process {

void Tail::write(std::string_view bytes) {
  if (bytes.size() >= limit_) {
    ring_.assign(bytes.substr(bytes.size() - limit_));
    next_ = 0;
    return;
  }
  const std::size_t room = limit_ - ring_.size();
  const std::size_t fits = std::min(room, bytes.size());
  ring_.append(bytes.substr(0, fits));
  bytes.remove_prefix(fits);
  for (const char c : bytes) {
    ring_[next_] = c;
    next_ = (next_ + 1) % limit_;
  }
}

std::string Tail::text() const {
  return ring_.substr(next_) + ring_.substr(0, next_);
}

TextFinder::TextFinder(std::vector<std::string> texts)
    : texts_{std::move(texts)}, found_(texts_.size(), false) {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    found_[i] = texts_[i].empty();
    if (!found_[i])
      ++missing_;
    longest_ = std::max(longest_, texts_[i].size());
  }
}

void TextFinder::write(std::string_view bytes) {
  if (missing_ == 0)
    return;
  // Only matches across the seam need the carried bytes; those inside `bytes`
  // are found in place, so that large pieces are not copied.
  const std::size_t overlap = longest_ - 1;
  const std::string seam =
      carry_ + std::string{bytes.substr(0, std::min(overlap, bytes.size()))};
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    if (found_[i])
      continue;
    if (seam.find(texts_[i]) != std::string::npos ||
        bytes.find(texts_[i]) != std::string_view::npos) {
      found_[i] = true;
      --missing_;
    }
  }
  carry_.append(bytes.substr(bytes.size() - std::min(overlap, bytes.size())));
  if (carry_.size() > overlap)
    carry_.erase(0, carry_.size() - overlap);
}

}  // namespace troupe::process
