"""One run on several devices: a process for each, which averages gradients with the others.

Every rank takes its share of each batch; the gradient of the whole batch's loss is the sum of
theirs, weighted by the samples they have, and one reduction a step brings it to all. So a run ends
where it would on one device, to rounding. The first rank records; the process that started the
ranks scores what they leave.
"""
