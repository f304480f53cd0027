"""The report: an Answer as one HTML file.

`page` puts it together from sections, each made by a function that takes the Answer and yields what
there is to show of it: nothing, where the runs don't have it. `markup` has what sections are made
of, `svg` and `charts` what they draw with, `page.html` and `page.js` what surrounds them.
In: an Answer, and the histories beside its runs. Out: HTML.
"""
