"""Compressed bytes to pixels: every image and video codec that SPICE carries.

Nothing here knows of channels or messages. Still images are functions (`lz.decode_lz`, `glz.decode_glz`,
`quic.decode_quic`, `lz4.decode_lz4`, `jpeg.decode_jpeg`, `jpeg_alpha.decode_jpeg_alpha`,
`bitmap.decode_bitmap`); what needs memory between pictures is an object (`window.GlzWindow`,
`jpeg.MjpegStream`, `video.VideoDecoder`). All give a `base.Decoded`, and all raise `errors.DecodeError`, and
nothing else, for data they cannot decode.
"""
