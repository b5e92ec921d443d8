"""The server: webhook, API, stream, metrics, and who may ask for them. The only part that answers HTTP.

Called by `serve`. It holds no state that another replica would need: what is taken in is committed before it is
acknowledged, and what is shown is read.
"""
